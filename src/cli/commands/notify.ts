/** fleet notify test: checks whether messages reach you through your channels. */
import type { NotifyTestView } from "../../views/notification.ts";
import type { Command, Shell } from "../command.ts";

/** How long a receiver may be unavailable before the command leaves the delivery to the queue. */
const WAIT_SECONDS = 20;

type Delivery = NotifyTestView["deliveries"][number];

const testCommand: Command = {
  usage: "notify test",
  summary: "send yourself a test message through your channels, and report the outcome of each",
  options: [["--no-wait", "do not wait until it is delivered"]],
  examples: ["fleet notify test", "fleet notify test --json | jq '.deliveries[] | select(.status != \"delivered\")'"],

  async run(shell, _args, { wait }) {
    const waits = wait !== false;
    const { terminal, json, api } = shell;
    if (waits && !json && terminal.isTty) terminal.note(terminal.paint("dim", "Sending a test message …"));
    const view = await api.request(
      "POST /api/fleet/notifications/test",
      { body: { waitSeconds: waits ? WAIT_SECONDS : 0 } },
      async () => (await import("../../views/notification.ts")).NotifyTestView,
    );
    if (json) terminal.json(view);
    else await printDeliveries(shell, view);
    const succeeded = ({ status }: Delivery) => (waits ? status !== "pending" : true) && status !== "failed";
    return view.deliveries.every(succeeded) ? 0 : 1;
  },
};

export const notifyCommands: readonly Command[] = [testCommand];

async function printDeliveries({ terminal }: Shell, { chosenBy, deliveries }: NotifyTestView): Promise<void> {
  const { CHANNELS, isChannelName } = await import("../../domain/notify/channels.ts");
  for (const delivery of deliveries) {
    const { status, channel } = delivery;
    const holds = status === "pending" ? null : status !== "failed";
    terminal.line(
      `${terminal.mark(holds)} ${terminal.sanitize(channel)}  ${terminal.sanitize(formatDelivery(delivery))}`,
    );
    if (delivery.leads || !isChannelName(channel)) continue;
    for (const command of CHANNELS[channel].setUp) terminal.line(`  Set it up: ${command}`);
  }
  if (chosenBy === "fleet" && deliveries.every(({ channel }) => channel === "terminal")) {
    terminal.line(
      "No channel is set: messages are only printed where a worker runs. Set one: fleet config set notify.channels webhook",
    );
  }
}

function formatDelivery({ status, error, tries }: Delivery): string {
  if (status === "delivered") return "delivered";
  if (status === "merged") return "sent in one summary with others, because there were many this minute";
  if (status === "failed") return `not delivered: ${error ?? "no reason was given"}`;
  if (tries === 0) return "on its way";
  return `not delivered yet, will be retried: ${error ?? "an attempt is in progress"}`;
}

/** fleet notify test: whether messages reach you, by the channels that you have set. */
import type { NotifyTestView } from "../../views/notification.ts";
import type { Command, Shell } from "../command.ts";

/** What a receiver that is away is given, before the command leaves it to the queue. */
const WAIT_SECONDS = 20;

type Delivery = NotifyTestView["deliveries"][number];

const testCommand: Command = {
  usage: "notify test",
  summary: "send yourself a test message through your channels, and say how it fared at each",
  options: [["--no-wait", "do not stay until it is delivered"]],
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
    else printDeliveries(shell, view);
    const succeeded = ({ status }: Delivery) => (waits ? status !== "pending" : true) && status !== "failed";
    return view.deliveries.every(succeeded) ? 0 : 1;
  },
};

export const notifyCommands: readonly Command[] = [testCommand];

function printDeliveries({ terminal }: Shell, { chosenBy, deliveries }: NotifyTestView): void {
  for (const delivery of deliveries) {
    const { status, channel } = delivery;
    const holds = status === "pending" ? null : status !== "failed";
    terminal.line(
      `${terminal.mark(holds)} ${terminal.sanitize(channel)}  ${terminal.sanitize(formatDelivery(delivery))}`,
    );
    if (!delivery.leads) terminal.line(`  Say where it leads: ${setupCommand(channel)}`);
  }
  if (chosenBy === "fleet" && deliveries.every(({ channel }) => channel === "terminal")) {
    terminal.line(
      "No channel is set: messages are printed where a worker runs, and nowhere else. Set one: fleet config set notify.channels webhook",
    );
  }
}

function formatDelivery({ status, error, tries }: Delivery): string {
  if (status === "delivered") return "delivered";
  if (status === "merged") return "told in one summary with others: there were many in this minute";
  if (status === "failed") return `not delivered: ${error ?? "no reason"}`;
  if (tries === 0) return "on its way";
  return `not yet, and tried again by itself: ${error ?? "the try is under way"}`;
}

function setupCommand(channel: string): string {
  if (channel === "email") return "fleet config set notify.email.to you@example.com";
  return "fleet config set notify.webhook.url https://…, then notify.webhook.secret with --secret-from-stdin";
}

/** fleet events: recent events, and new ones as they happen. */
import { asString, type Command, type Shell } from "../command.ts";
import type { EventView } from "../../views/event.ts";

const eventView = async () => (await views()).EventView;

export const eventsCommand: Command = {
  usage: "events",
  summary: "show recent events; with -f, new ones as they happen",
  options: [
    ["-f, --follow", "keep running and print new events"],
    ["--task <task>", "only one task's"],
    ["-n, --lines <n>", "how many past events (default: 50)"],
  ],
  examples: ["fleet events -f", "fleet events --task 3f9a1c2b", "fleet events -f --json | jq .type"],

  async run(shell, _args, { follow, task, lines }) {
    const name = asString(task);
    const recent = { limit: asString(lines) ?? 50, task: name };
    if (!follow) {
      const { pageOf } = await import("../../views/page.ts");
      const page = await shell.api.request("GET /api/fleet/events/recent", { query: recent }, async () =>
        pageOf((await views()).EventView),
      );
      for (const event of page.items) printEvent(shell, event);
      return;
    }
    const { signal } = shell.world;
    const stream =
      name === undefined
        ? shell.api.follow("GET /api/fleet/events", {}, eventView, { signal })
        : shell.api.follow("GET /api/fleet/tasks/:task/events", { path: { task: name } }, eventView, { signal });
    for await (const { data } of stream) printEvent(shell, data);
  },
};

function printEvent({ terminal, json }: Shell, event: EventView): void {
  if (json) {
    terminal.json(event);
    return;
  }
  const { time, type, subject, data } = event;
  const facts = Object.entries(data)
    .filter(([, value]) => ["string", "number", "boolean"].includes(typeof value))
    .map(([key, value]) => `${key}=${terminal.sanitize(String(value)).slice(0, 80)}`);
  const name =
    subject === undefined
      ? ""
      : `  ${terminal.paint("bold", terminal.sanitize(subject.replaceAll("-", "").slice(-8)))}`;
  terminal.line(
    `${terminal.paint("dim", time.slice(11, 19))}${name}  ${terminal.sanitize(type)}  ${terminal.paint("dim", facts.join(" "))}`,
  );
}

function views() {
  return import("../../views/event.ts");
}

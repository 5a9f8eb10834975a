/** fleet logs: shows the agent's output. */
import { asNumber, type Command } from "../command.ts";

export const logsCommand: Command = {
  usage: "logs <task>",
  summary: "show the output of a task's agent",
  options: [
    ["-f, --follow", "keep running and print new lines"],
    ["-n, --lines <n>", "how many lines from the end (default: 200)"],
    ["--attempt <k>", "which attempt, counted from 0 (default: the latest)"],
  ],
  examples: ["fleet logs 3f9a1c2b -f", "fleet logs 3f9a1c2b -n 20 --attempt 0"],

  async run({ api, terminal, json, world }, [task = ""], { follow, lines, attempt }) {
    const { escapeForTerminal } = await import("../../domain/text/escape.ts");
    const params = { path: { task }, query: { lines: asNumber(lines), attempt: asNumber(attempt) } };
    if (follow) {
      const line = async () => (await views()).LogLine;
      const options = { signal: world.signal };
      const stream = api.follow("GET /api/fleet/tasks/:task/logs/follow", params, line, options);
      for await (const { data } of stream) {
        if (json) terminal.json(data);
        else terminal.line(escapeForTerminal(data.text));
      }
      return;
    }
    const logs = await api.request("GET /api/fleet/tasks/:task/logs", params, async () => (await views()).LogsView);
    if (json) {
      terminal.json(logs);
      return;
    }
    if (logs.truncated && terminal.isTty) terminal.note(terminal.paint("dim", "… earlier lines: -n <more>"));
    for (const line of logs.lines) terminal.line(escapeForTerminal(line));
    if (logs.lines.length === 0 && terminal.isTty) terminal.note("The agent has not written anything yet.");
  },
};

function views() {
  return import("../../views/event.ts");
}

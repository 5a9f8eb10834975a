/** What stop, retry and reject have in common: ask, and say how the task stands now. */
import type { TaskView } from "../views/task.ts";
import { taskPath, type Shell } from "./command.ts";
import type { Terminal } from "./terminal.ts";

interface Act {
  readonly verb: "stop" | "retry" | "reject";
  readonly task: string | undefined;
  readonly body: object;
}

export async function act({ api, terminal, json }: Shell, { verb, task, body }: Act): Promise<void> {
  const now = await api.post(taskPath(task, `/${verb}`), body, async () => (await import("../views/task.ts")).TaskView);
  if (json) terminal.json(now);
  else terminal.line(taskLine(terminal, now));
}

export function taskLine(terminal: Terminal, { status, condition, shortId, title }: TaskView): string {
  return `${terminal.status(status, condition)}  ${terminal.paint("bold", shortId)}  ${terminal.shown(title)}`;
}

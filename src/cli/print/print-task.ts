/** What stop, retry and reject have in common: ask, and say how the task stands now. */
import type { TaskView } from "../../views/task.ts";
import type { Shell } from "../command.ts";
import type { Terminal } from "./terminal.ts";

export const taskView = async () => (await import("../../views/task.ts")).TaskView;

export async function printTask({ terminal, json }: Shell, pending: Promise<TaskView>): Promise<void> {
  const task = await pending;
  if (json) terminal.json(task);
  else terminal.line(taskLine(terminal, task));
}

export function taskLine(terminal: Terminal, { status, condition, shortId, title }: TaskView): string {
  return `${terminal.status(status, condition)}  ${terminal.paint("bold", shortId)}  ${terminal.sanitize(title)}`;
}

/** The task as stop, retry and reject print it after their request. */
import type { TaskView } from "../../views/task.ts";
import type { Terminal } from "./terminal.ts";

export const taskView = async () => (await import("../../views/task.ts")).TaskView;

export async function printTask(
  { terminal, json }: { readonly terminal: Terminal; readonly json: boolean },
  pending: Promise<TaskView>,
): Promise<void> {
  const task = await pending;
  if (json) terminal.json(task);
  else terminal.line(taskLine(terminal, task));
}

export function taskLine(terminal: Terminal, { status, condition, shortId, title }: TaskView): string {
  return `${terminal.status(status, condition)}  ${terminal.paint("bold", shortId)}  ${terminal.sanitize(title)}`;
}

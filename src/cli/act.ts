/** What stop, retry, merge and reject have in common: ask, and say how the task stands now. */
import { taskPath, type Shell } from "./command.ts";

interface Act {
  readonly verb: "stop" | "retry" | "merge" | "reject";
  readonly task: string | undefined;
  readonly body: object;
}

export async function act({ api, terminal, json }: Shell, { verb, task, body }: Act): Promise<void> {
  const now = await api.post(taskPath(task, `/${verb}`), body, async () => (await import("../views/task.ts")).TaskView);
  if (json) terminal.json(now);
  else
    terminal.line(
      `${terminal.status(now.status, now.condition)}  ${terminal.paint("bold", now.shortId)}  ${terminal.shown(now.title)}`,
    );
}

/** What an agent wrote: read on its host, redacted before it leaves it. */
import { FleetError } from "../domain/errors.ts";
import { redactor } from "../domain/redact.ts";
import { isTerminal, shortId, type Task } from "../domain/task.ts";
import { WORKER } from "../store/store.ts";
import { getTask } from "../store/tasks.ts";
import type { Fleet } from "./fleet.ts";

export interface LogTail {
  readonly attempt: number;
  readonly lines: readonly string[];
  /** There is more above the first line. */
  readonly truncated: boolean;
}

const BYTES_PER_LINE = 512;
const MOST_BYTES = 2_000_000;
const LOOK_MS = 250;

export async function readTaskLog(
  fleet: Fleet,
  task: Task,
  { attempt = task.attempt, lines }: { attempt?: number | undefined; lines: number },
): Promise<LogTail> {
  refuseElsewhere(fleet, task);
  const tailBytes = Math.min(lines * BYTES_PER_LINE, MOST_BYTES);
  const chunk = await fleet.agents.readLog({ taskId: task.id, attempt }, { tailBytes });
  const all = redactor().redact(chunk.bytes.toString("utf8")).split("\n");
  if (all.at(-1) === "") all.pop();
  // The first line of a tail is cut somewhere in its middle.
  if (chunk.from > 0) all.shift();
  return { attempt, lines: all.slice(-lines), truncated: chunk.from > 0 || all.length > lines };
}

/** The tail, then what comes; goes on into the next attempt, and ends when the task is over and all is said. */
export async function* followTaskLog(
  fleet: Fleet,
  task: Task,
  { attempt, lines }: { attempt?: number | undefined; lines: number },
  signal: AbortSignal,
): AsyncGenerator<{ attempt: number; text: string }, void> {
  refuseElsewhere(fleet, task);
  const fixed = attempt;
  let current = fixed ?? task.attempt;
  for (const text of (await readTaskLog(fleet, task, { attempt: current, lines })).lines) yield { attempt: current, text };
  let from = (await fleet.agents.readLog({ taskId: task.id, attempt: current }, { tailBytes: 0 })).next;
  let rest = "";
  const stream = redactor();
  while (!signal.aborted) {
    const now = await fleet.store.transaction(WORKER, (tx) => getTask(tx, task.id));
    const chunk = await fleet.agents.readLog({ taskId: task.id, attempt: current }, { from });
    from = chunk.next;
    const text = rest + chunk.bytes.toString("utf8");
    const cut = text.lastIndexOf("\n") + 1;
    rest = text.slice(cut);
    for (const line of stream.redact(text.slice(0, cut)).split("\n").slice(0, -1)) yield { attempt: current, text: line };
    if (chunk.bytes.length > 0) continue;
    if (fixed === undefined && now.attempt > current && now.status !== "retrying") {
      current = now.attempt;
      from = 0;
    } else if (isTerminal(now.status) || now.status === "ready" || (fixed !== undefined && now.attempt > fixed)) {
      if (rest) yield { attempt: current, text: stream.redact(rest) };
      return;
    } else await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

/** Output lies on the host that ran the agent; it is not carried about. */
function refuseElsewhere(fleet: Fleet, task: Task): void {
  if (task.host === null) {
    throw new FleetError("not-found", `Task ${shortId(task.id)} has not run anywhere yet. See why: fleet show ${shortId(task.id)}`);
  }
  if (task.host !== fleet.host.id) {
    throw new FleetError("not-found", `Its output lies on host ${task.host}, and this is ${fleet.host.id}. Ask a web process there.`);
  }
}

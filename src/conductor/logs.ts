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
  const { whole, rest, truncated } = await readEnd(fleet, { taskId: task.id, attempt }, lines);
  const all = rest.length > 0 ? [...whole, redactor().redact(rest.toString("utf8"))] : whole;
  return { attempt, lines: all.slice(-lines), truncated: truncated || all.length > lines };
}

/** The tail, then what comes; goes on into the next attempt, and ends when the task is over and all is said. */
export async function* followTaskLog(
  fleet: Fleet,
  task: Task,
  { attempt: fixed, lines }: { attempt?: number | undefined; lines: number },
  signal: AbortSignal,
): AsyncGenerator<{ attempt: number; text: string }, void> {
  refuseElsewhere(fleet, task);
  let attempt = fixed ?? task.attempt;
  const end = await readEnd(fleet, { taskId: task.id, attempt }, lines);
  for (const text of end.whole.slice(-lines)) yield { attempt, text };
  let { rest, next: from } = end;
  const stream = redactor();
  while (!signal.aborted) {
    // Before the output: what the task says of itself is then never ahead of what has been read.
    const now = await fleet.store.transaction(WORKER, (tx) => getTask(tx, task.id));
    const chunk = await fleet.agents.readLog({ taskId: task.id, attempt }, { from });
    const parted = partLines(Buffer.concat([rest, chunk.bytes]));
    from = chunk.next;
    rest = parted.rest;
    for (const text of linesOf(stream.redact(parted.whole))) yield { attempt, text };
    if (chunk.bytes.length > 0) continue;

    const { goesOn, isOver } = whereNext(now, attempt, fixed);
    if (!goesOn && !isOver) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      continue;
    }
    if (rest.length > 0) yield { attempt, text: stream.redact(rest.toString("utf8")) };
    if (!goesOn) return;
    attempt = now.attempt;
    from = 0;
    rest = Buffer.alloc(0);
  }
}

function whereNext(now: Task, attempt: number, fixed: number | undefined): { goesOn: boolean; isOver: boolean } {
  const hasNext = now.attempt > attempt;
  return {
    goesOn: fixed === undefined && hasNext && now.status !== "retrying",
    isOver: isTerminal(now.status) || now.status === "ready" || (fixed !== undefined && hasNext),
  };
}

/** The last whole lines, what has begun after them, and where to read on: of one look, so that nothing falls between two. */
async function readEnd(fleet: Fleet, run: { taskId: string; attempt: number }, lines: number) {
  const { bytes, from, next } = await fleet.agents.readLog(run, {
    tailBytes: Math.min(lines * BYTES_PER_LINE, MOST_BYTES),
  });
  const { whole, rest } = partLines(bytes);
  const all = linesOf(redactor().redact(whole));
  // The first line of a tail is cut somewhere in its middle.
  return { whole: from > 0 ? all.slice(1) : all, rest, next, truncated: from > 0 };
}

/** In bytes: a chunk may end in the middle of a character. */
function partLines(bytes: Buffer): { whole: string; rest: Buffer } {
  const cut = bytes.lastIndexOf("\n") + 1;
  return { whole: bytes.subarray(0, cut).toString("utf8"), rest: bytes.subarray(cut) };
}

function linesOf(text: string): string[] {
  return text.split("\n").slice(0, -1);
}

/** Output lies on the host that ran the agent; it is not carried about. */
function refuseElsewhere(fleet: Fleet, task: Task): void {
  if (task.host === null) {
    throw new FleetError(
      "not-found",
      `Task ${shortId(task.id)} has not run anywhere yet. See why: fleet show ${shortId(task.id)}`,
    );
  }
  if (task.host !== fleet.host.id) {
    throw new FleetError(
      "not-found",
      `Its output lies on host ${task.host}, and this is ${fleet.host.id}. Ask a web process there.`,
    );
  }
}

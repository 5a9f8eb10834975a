/** The output of an agent: read on the host that ran it, and redacted before it leaves that host. */
import { setTimeout as pause } from "node:timers/promises";
import { FleetError } from "../../domain/errors.ts";
import type { RedactingStream } from "../../domain/text/redact.ts";
import { isTerminal, shortId, type Task } from "../../domain/task/task.ts";
import { getTask } from "../../store/tasks.ts";
import type { Fleet } from "../fleet.ts";
import { redactorOf } from "../redactor.ts";

export interface LogTail {
  readonly attempt: number;
  readonly lines: readonly string[];
  /** There is more output before the first line. */
  readonly truncated: boolean;
}

const BYTES_PER_LINE = 512;
const MAX_BYTES = 2_000_000;
/** Read before the first line that is shown, so that a private key that begins there is redacted in what follows. */
const CONTEXT_BYTES = 20_000;
const POLL_MS = 250;

export async function readTaskLog(
  fleet: Fleet,
  task: Task,
  { attempt = task.attempt, lines }: { attempt?: number | undefined; lines: number },
): Promise<LogTail> {
  assertOnThisHost(fleet, task);
  const { shown, stream, rest, truncated } = await readTail(fleet, { taskId: task.id, attempt }, lines);
  const lineBuffer = new LineBuffer();
  const allLines = [...lineBuffer.push(shown + stream.push(rest.toString("utf8")) + stream.end()), ...lineBuffer.end()];
  return { attempt, lines: allLines.slice(-lines), truncated: truncated || allLines.length > lines };
}

/** The tail, then new output; continues with the next attempt, and ends after the last output of a task that is over. */
export async function* followTaskLog(
  fleet: Fleet,
  task: Task,
  { attempt: fixedAttempt, lines }: { attempt?: number | undefined; lines: number },
  signal: AbortSignal,
): AsyncGenerator<{ attempt: number; text: string }, void> {
  assertOnThisHost(fleet, task);
  let attempt = fixedAttempt ?? task.attempt;
  const { shown, stream, ...end } = await readTail(fleet, { taskId: task.id, attempt }, lines);
  const lineBuffer = new LineBuffer();
  for (const text of lineBuffer.push(shown).slice(-lines)) yield { attempt, text };
  let { rest, next: from } = end;
  while (!signal.aborted) {
    // Read before the output, so that the task is never seen as over before its last output is read.
    const now = await fleet.store.asSystem((tx) => getTask(tx, task.id));
    const chunk = await fleet.agents.readLog({ taskId: task.id, attempt }, { from });
    const split = splitWholeLines(Buffer.concat([rest, chunk.bytes]));
    from = chunk.next;
    rest = split.rest;
    for (const text of lineBuffer.push(stream.push(split.whole.toString("utf8")))) yield { attempt, text };
    if (chunk.bytes.length > 0) continue;

    const { goesOn, isOver } = followState(now, attempt, fixedAttempt);
    if (!goesOn && !isOver) {
      await pause(POLL_MS, undefined, { signal }).catch(() => {});
      continue;
    }
    for (const text of lineBuffer.push(stream.push(rest.toString("utf8")) + stream.end())) yield { attempt, text };
    for (const text of lineBuffer.end()) yield { attempt, text };
    if (!goesOn) return;
    attempt = now.attempt;
    from = 0;
    rest = Buffer.alloc(0);
  }
}

function followState(
  now: Task,
  attempt: number,
  fixedAttempt: number | undefined,
): { goesOn: boolean; isOver: boolean } {
  const hasNext = now.attempt > attempt;
  return {
    goesOn: fixedAttempt === undefined && hasNext && now.status !== "retrying",
    isOver: isTerminal(now.status) || now.status === "ready" || (fixedAttempt !== undefined && hasNext),
  };
}

interface TailState {
  /** The part of the last lines that is redacted; the stream holds back what may still belong to a secret. */
  readonly shown: string;
  readonly stream: RedactingStream;
  /** The beginning of a line that is not complete yet. */
  readonly rest: Buffer;
  /** The offset to continue reading from. */
  readonly next: number;
  readonly truncated: boolean;
}

/** Takes everything from one read, so that no output is lost between two. */
async function readTail(fleet: Fleet, run: { taskId: string; attempt: number }, lines: number): Promise<TailState> {
  const wanted = Math.min(lines * BYTES_PER_LINE, MAX_BYTES);
  const { bytes, from, next } = await fleet.agents.readLog(run, { tailBytes: wanted + CONTEXT_BYTES });
  const { whole, rest } = splitWholeLines(bytes);
  const isCut = from > 0 || bytes.length > wanted;
  // The line in whose middle the tail begins is not shown.
  const start = isCut ? bytes.indexOf("\n", Math.max(0, bytes.length - wanted)) + 1 : 0;
  const before = start === 0 ? 0 : Math.min(start, bytes.length - rest.length);
  const stream = redactorOf(fleet).stream();
  stream.push(bytes.subarray(0, before).toString("utf8"));
  return { shown: stream.push(whole.subarray(before).toString("utf8")), stream, rest, next, truncated: isCut };
}

/** Splits bytes, not text, because a chunk may end in the middle of a character. */
function splitWholeLines(bytes: Buffer): { whole: Buffer; rest: Buffer } {
  const lineEnd = bytes.lastIndexOf("\n") + 1;
  return { whole: bytes.subarray(0, lineEnd), rest: bytes.subarray(lineEnd) };
}

/** Turns chunks of text into lines. */
class LineBuffer {
  #partial = "";

  push(text: string): string[] {
    const lines = (this.#partial + text).split("\n");
    this.#partial = lines.pop() ?? "";
    return lines;
  }

  /** The last line, if no line break ended it. */
  end(): string[] {
    const last = this.#partial;
    this.#partial = "";
    return last === "" ? [] : [last];
  }
}

/** The output stays on the host that ran the agent; it is not copied to others. */
function assertOnThisHost(fleet: Fleet, task: Task): void {
  if (task.host === null) {
    throw new FleetError(
      "not-found",
      `Task ${shortId(task.id)} has not started yet. See why: fleet show ${shortId(task.id)}`,
    );
  }
  if (task.host !== fleet.host.id) {
    throw new FleetError(
      "not-found",
      `The output is on host ${task.host}, and this is ${fleet.host.id}. Use a web process on that host.`,
    );
  }
}

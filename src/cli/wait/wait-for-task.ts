/** Waits until a task is ready or over. Reads the task at each of its events, and every ten seconds in any case. */
import { EventView } from "../../views/event.ts";
import { TaskView } from "../../views/task.ts";
import { openBell } from "./bell.ts";
import type { Shell } from "../command.ts";
import { openProgress } from "../print/progress.ts";
import type { Terminal } from "../print/terminal.ts";
import { formatDuration } from "../print/format.ts";

const SUCCESS_STATUSES: ReadonlySet<string> = new Set(["ready", "merged"]);
const SETTLED_STATUSES: ReadonlySet<string> = new Set(["ready", "merged", "abandoned", "cancelled"]);
const POLL_MS = 10_000;

/** Returns the exit code: 0 when ready or merged, 1 otherwise. */
export async function waitForTask(first: TaskView, shell: Shell): Promise<number> {
  const { terminal, json, world } = shell;
  const startedAt = world.clock().getTime();
  const progress = json ? undefined : openProgress(terminal, world.clock);
  if (!json) terminal.line(`${terminal.paint("bold", first.shortId)}  ${terminal.sanitize(first.title)}`);

  let task = first;
  progress?.update(statusLine(terminal, first));
  for await (const now of watchTask(first, shell)) {
    task = now;
    if (!SETTLED_STATUSES.has(task.status)) progress?.update(statusLine(terminal, task));
  }
  if (json) terminal.json(task);
  else progress?.end(finalLine(terminal, task, formatDuration(world.clock().getTime() - startedAt)));
  return SUCCESS_STATUSES.has(task.status) ? 0 : 1;
}

/** Yields the task each time it may have changed; ends when the task has ended, or the operator interrupts. */
async function* watchTask(first: TaskView, { api, world }: Shell): AsyncGenerator<TaskView, void> {
  const path = { task: first.id };
  const bell = openBell(world.signal, async (ring, signal) => {
    const events = api.follow("GET /api/fleet/tasks/:task/events", { path }, EventView, { signal });
    while (!(await events.next()).done) ring();
  });
  try {
    for (let task = first; !SETTLED_STATUSES.has(task.status) && !world.signal.aborted; yield task) {
      await bell.waitForRing(POLL_MS);
      if (!world.signal.aborted) task = await api.request("GET /api/fleet/tasks/:task", { path }, TaskView);
    }
  } finally {
    await bell.close();
  }
}

function statusLine(terminal: Terminal, { status, condition, attempt, prNumber, shortId }: TaskView): string {
  const retryNote = attempt > 0 ? ` · attempt ${attempt + 1}` : "";
  const pr = prNumber === null ? "" : ` · PR #${prNumber}`;
  const inputNote = condition === "needs_input" ? ` · see: fleet show ${shortId}` : "";
  return `${terminal.status(status, condition)}${retryNote}${pr}${inputNote}`;
}

function finalLine(terminal: Terminal, { status, shortId, failure }: TaskView, after: string): string {
  if (!SETTLED_STATUSES.has(status))
    return `Stopped waiting after ${after}; the task continues. See: fleet show ${shortId}`;
  const next = status === "ready" ? `fleet merge ${shortId}` : `fleet show ${shortId}`;
  const why = failure && !SUCCESS_STATUSES.has(status) ? `: ${terminal.sanitize(failure.reason)}` : "";
  return `${terminal.status(status)} after ${after}${why}. ${terminal.paint("dim", `Next: ${next}`)}`;
}

/** Staying with a task until it is ready or over. Looks at the task whenever an event says so, and every ten seconds anyway. */
import { setTimeout as pause } from "node:timers/promises";
import { EventView } from "../views/event.ts";
import { TaskView } from "../views/task.ts";
import { taskPath, type Shell } from "./command.ts";
import { openProgress } from "./progress.ts";
import { span } from "./words.ts";

const GOOD: ReadonlySet<string> = new Set(["ready", "merged"]);
const OVER: ReadonlySet<string> = new Set(["ready", "merged", "abandoned", "cancelled"]);
const LOOK_MS = 10_000;

/** The exit code: 0 when ready or merged, 1 otherwise. */
export async function waitFor(first: TaskView, { api, terminal, json, world }: Shell): Promise<number> {
  const begun = world.clock().getTime();
  const elapsed = () => span(world.clock().getTime() - begun);
  const progress = json ? undefined : openProgress(terminal, elapsed);
  const bell = openBell();
  const over = new AbortController();
  const stop = () => over.abort();
  world.signal.addEventListener("abort", stop, { once: true });
  const listening = listen();

  let task = first;
  try {
    if (progress) terminal.line(`${terminal.paint("bold", task.shortId)}  ${terminal.shown(task.title)}`);
    progress?.say(sentence(task));
    while (!OVER.has(task.status) && !over.signal.aborted) {
      await Promise.race([bell.rung(), pause(LOOK_MS, undefined, { signal: over.signal }).catch(() => {})]);
      if (over.signal.aborted) break;
      task = await api.get(taskPath(task.id), TaskView);
      progress?.say(sentence(task));
    }
  } finally {
    over.abort();
    world.signal.removeEventListener("abort", stop);
    await listening;
  }
  const good = GOOD.has(task.status);
  if (json) terminal.json(task);
  else
    progress?.end(OVER.has(task.status) ? lastWord(task, elapsed()) : `Left; it goes on. fleet show ${task.shortId}`);
  return good ? 0 : 1;

  /** A stream that cannot be had costs speed, not truth. */
  async function listen(): Promise<void> {
    try {
      const events = api.stream(taskPath(first.id, "/events"), EventView, { signal: over.signal });
      while (!(await events.next()).done) bell.ring();
    } catch {
      // Looking every ten seconds goes on.
    }
  }

  function sentence(now: TaskView): string {
    const attempt = now.attempt > 0 ? ` · attempt ${now.attempt + 1}` : "";
    const pr = now.prNumber === null ? "" : ` · PR #${now.prNumber}`;
    const asks = now.condition === "needs_input" ? ` · answer it: fleet attach ${now.shortId}` : "";
    return `${terminal.status(now.status, now.condition)}${attempt}${pr}${asks}`;
  }

  function lastWord(now: TaskView, after: string): string {
    const next = now.status === "ready" ? `fleet merge ${now.shortId}` : `fleet show ${now.shortId}`;
    const why = now.failure ? `: ${terminal.shown(now.failure.reason)}` : "";
    return `${terminal.status(now.status)} after ${after}${good ? "" : why}. ${terminal.paint("dim", `Next: ${next}`)}`;
  }
}

/** Rung while nobody listens, it is still heard once. */
function openBell() {
  let waiting: (() => void) | undefined;
  let pending = false;
  return {
    ring() {
      pending = waiting === undefined;
      waiting?.();
      waiting = undefined;
    },
    rung(): Promise<void> {
      if (pending) {
        pending = false;
        return Promise.resolve();
      }
      return new Promise((resolve) => {
        waiting = resolve;
      });
    },
  };
}

/**
 * Maintains the wanted number of workers and one web process: each slot has one process at a time, and one that dies
 * is replaced.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { Program } from "./program.ts";
import type { ChaosEnvironment } from "./environment.ts";

export interface WorkerPool {
  workers(): readonly Program[];
  web(): Program;
  /**
   * Shuts `old` down gracefully; its successor has these additional settings. Resolves with the successor when it is
   * ready, or has ended already.
   */
  replace(old: Program, more: Readonly<Record<string, string>>): Promise<Program>;
  /** The successor of `program` has these additional settings. */
  armNext(program: Program, more: Readonly<Record<string, string>>): void;
  /** The successor of `old`, when it is ready. */
  successor(old: Program): Promise<Program>;
  /** Unexpected exits of processes. */
  readonly unexpectedExits: string[];
  /** From now on its exit is expected. */
  expectExit(program: Program): void;
  stop(): Promise<void>;
}

interface ProcessSlot {
  current: Program;
  /** For the next process that is started here. */
  more: Readonly<Record<string, string>>;
}

/** A store may be down just now: a supervisor retries, and not at once. */
const RESTART_DELAY_MS = 1_000;
const KILL_AFTER_MS = 15_000;

type Start = (more: Readonly<Record<string, string>>) => Program;

export async function startWorkerPool(stage: ChaosEnvironment, size: number): Promise<WorkerPool> {
  const unexpectedExits: string[] = [];
  const expected = new Set<Program>();
  let stopped = false;

  function openSlot(start: Start): ProcessSlot {
    const slot: ProcessSlot = { current: start({}), more: {} };
    void supervise(slot, start);
    return slot;
  }

  async function supervise(slot: ProcessSlot, start: Start): Promise<void> {
    for (;;) {
      const program = slot.current;
      const wasReady = await isReady(program);
      const { code, signal } = await program.ended;
      if (stopped) return;
      if (wasReady && !expected.has(program) && !program.struck())
        unexpectedExits.push(`${program.name} ended by itself with ${code ?? signal}`);
      if (!wasReady && !program.struck()) await pause(RESTART_DELAY_MS);
      if (stopped) return;
      const { more } = slot;
      Object.assign(slot, { more: {}, current: start(more) });
    }
  }

  const workers = Array.from({ length: size }, () => openSlot((more) => stage.startWorker(more)));
  const web = openSlot(() => stage.startWeb());
  const slotOf = (program: Program) => [...workers, web].find(({ current }) => current === program);

  async function successor(old: Program): Promise<Program> {
    const place = slotOf(old) ?? workers[0];
    for (;;) {
      if (!place || stopped) return old;
      const { current } = place;
      if (current !== old && ((await isReady(current)) || current.struck())) return current;
      await pause(50);
    }
  }

  await Promise.all([...workers, web].map(({ current }) => current.ready));
  return {
    workers: () => workers.map(({ current }) => current).filter((program) => !program.isOver()),
    web: () => web.current,
    async replace(old, more) {
      const place = slotOf(old);
      if (!place) return successor(old);
      place.more = more;
      expected.add(old);
      const next = successor(old);
      old.signal("SIGCONT");
      old.signal("SIGTERM");
      return next;
    },
    armNext: (program, more) => void Object.assign(slotOf(program) ?? {}, { more }),
    successor,
    unexpectedExits,
    expectExit: (program) => void expected.add(program),
    async stop() {
      stopped = true;
      await stopAll([...workers, web].map(({ current }) => current));
    },
  };
}

async function stopAll(programs: readonly Program[]): Promise<void> {
  for (const program of programs) {
    program.signal("SIGCONT");
    program.signal("SIGTERM");
  }
  const killTimer = setTimeout(() => programs.forEach((program) => program.signal("SIGKILL")), KILL_AFTER_MS);
  await Promise.all(programs.map(({ ended }) => ended));
  clearTimeout(killTimer);
}

function isReady(program: Program): Promise<boolean> {
  return program.ready.then(
    () => true,
    () => false,
  );
}

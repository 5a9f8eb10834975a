/** Keeps the wished number of workers and one web process running: each place has one process at a time, and whoever dies is followed. */
import { setTimeout as pause } from "node:timers/promises";
import type { Program } from "./program.ts";
import type { Stage } from "./environment.ts";

export interface Crew {
  workers(): readonly Program[];
  web(): Program;
  /** Ends `old` in order; the next one at its place has these settings besides. Resolves with it when it works, or ended already. */
  replace(old: Program, more: Readonly<Record<string, string>>): Promise<Program>;
  /** Whoever comes after `program` at its place has these settings besides. */
  armNext(program: Program, more: Readonly<Record<string, string>>): void;
  /** Who comes after `old` at its place, when it works. */
  successor(old: Program): Promise<Program>;
  /** Ends of processes that nobody meant. */
  readonly accidents: string[];
  /** It may end now without that being an accident. */
  expectEnd(program: Program): void;
  stop(): Promise<void>;
}

interface Place {
  current: Program;
  /** For the next one that is started here. */
  more: Readonly<Record<string, string>>;
}

/** A store may be away just now: a supervisor tries again, and not at once. */
const AGAIN_MS = 1_000;
const HARD_STOP_MS = 15_000;

export async function startCrew(stage: Stage, size: number): Promise<Crew> {
  const accidents: string[] = [];
  const expected = new Set<Program>();
  let stopped = false;

  function open(start: (more: Readonly<Record<string, string>>) => Program): Place {
    const place: Place = { current: start({}), more: {} };
    void keep(place, start);
    return place;
  }

  async function keep(place: Place, start: (more: Readonly<Record<string, string>>) => Program): Promise<void> {
    for (;;) {
      const program = place.current;
      const wasReady = await isReady(program);
      const { code, signal } = await program.ended;
      if (stopped) return;
      if (wasReady && !expected.has(program) && !program.struck())
        accidents.push(`${program.name} ended by itself with ${code ?? signal}`);
      if (!wasReady && !program.struck()) await pause(AGAIN_MS);
      if (stopped) return;
      const { more } = place;
      Object.assign(place, { more: {}, current: start(more) });
    }
  }

  const workers = Array.from({ length: size }, () => open((more) => stage.startWorker(more)));
  const web = open(() => stage.startWeb());
  const placeOf = (program: Program) => [...workers, web].find(({ current }) => current === program);

  async function successor(old: Program): Promise<Program> {
    const place = placeOf(old) ?? workers[0];
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
      const place = placeOf(old);
      if (!place) return successor(old);
      place.more = more;
      expected.add(old);
      const next = successor(old);
      old.signal("SIGCONT");
      old.signal("SIGTERM");
      return next;
    },
    armNext: (program, more) => void Object.assign(placeOf(program) ?? {}, { more }),
    successor,
    accidents,
    expectEnd: (program) => void expected.add(program),
    async stop() {
      stopped = true;
      await endAll([...workers, web].map(({ current }) => current));
    },
  };
}

async function endAll(programs: readonly Program[]): Promise<void> {
  for (const program of programs) {
    program.signal("SIGCONT");
    program.signal("SIGTERM");
  }
  const hard = setTimeout(() => programs.forEach((program) => program.signal("SIGKILL")), HARD_STOP_MS);
  await Promise.all(programs.map(({ ended }) => ended));
  clearTimeout(hard);
}

function isReady(program: Program): Promise<boolean> {
  return program.ready.then(
    () => true,
    () => false,
  );
}

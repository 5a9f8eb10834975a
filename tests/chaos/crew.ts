/** Keeps the wished number of workers and one web process running: whoever dies is replaced, as a supervisor would. */
import { setTimeout as pause } from "node:timers/promises";
import type { Program } from "./program.ts";
import type { Stage } from "./stage.ts";

export interface Crew {
  workers(): readonly Program[];
  web(): Program;
  /** The next worker that is started has these settings besides; resolves with it when it works. */
  replace(old: Program, more: Readonly<Record<string, string>>): Promise<Program>;
  /** Ends of processes that nobody meant. */
  readonly accidents: string[];
  /** These may end now without being an accident. */
  expectEnd(program: Program): void;
  stop(): Promise<void>;
}

export async function startCrew(stage: Stage, size: number): Promise<Crew> {
  const accidents: string[] = [];
  const expected = new Set<Program>();
  const workers = new Set<Program>();
  let web: Program | undefined;
  let stopped = false;

  function watch(program: Program, again: () => Promise<unknown>): void {
    void program.ended.then(async ({ code, signal }) => {
      workers.delete(program);
      if (stopped) return;
      if (!expected.has(program)) accidents.push(`${program.name} ended by itself with ${code ?? signal}`);
      if (replaced.has(program)) return;
      await again();
    });
  }

  const replaced = new Set<Program>();

  async function startWorker(more: Readonly<Record<string, string>> = {}): Promise<Program> {
    for (;;) {
      const program = stage.startWorker(more);
      workers.add(program);
      watch(program, () => startWorker());
      try {
        await program.ready;
        return program;
      } catch (error) {
        replaced.add(program);
        if (stopped || program.struck()) return program;
        // A store may be away just now: a supervisor tries again.
        if (!expected.has(program)) accidents.pop();
        await pause(500);
        if (stopped) throw error;
      }
    }
  }

  async function startWeb(): Promise<void> {
    while (!stopped) {
      const program = stage.startWeb();
      web = program;
      watch(program, startWeb);
      const ready = await program.ready.then(
        () => true,
        () => false,
      );
      if (ready) return;
      replaced.add(program);
      accidents.pop();
      await pause(500);
    }
  }

  await Promise.all([startWeb(), ...Array.from({ length: size }, () => startWorker())]);
  return {
    workers: () => [...workers],
    web() {
      if (!web) throw new Error("There is no web process.");
      return web;
    },
    async replace(old, more) {
      expected.add(old);
      replaced.add(old);
      old.signal("SIGTERM");
      const [program] = await Promise.all([startWorker(more), old.ended]);
      return program;
    },
    accidents,
    expectEnd: (program) => void expected.add(program),
    async stop() {
      stopped = true;
      const all = [...workers, ...(web ? [web] : [])];
      for (const program of all) program.signal("SIGCONT");
      for (const program of all) program.signal("SIGTERM");
      const killed = setTimeout(() => all.forEach((program) => program.signal("SIGKILL")), 20_000);
      await Promise.all(all.map(({ ended }) => ended));
      clearTimeout(killed);
    },
  };
}

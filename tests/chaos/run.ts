/** `npm run chaos`: real processes and stores, faults while tasks flow, and at the end everything that must hold is looked at. */
import { startAskers } from "./clients.ts";
import { startCrew, type Crew } from "./workers.ts";
import type { Strike } from "./faults.ts";
import { seeded } from "../../src/processes/seeded-random.ts";
import { readOptions, type Options } from "./options.ts";
import { strikeAll } from "./plan.ts";
import { proveAll } from "./proofs.ts";
import { progressOf, untilQuiet } from "./idle.ts";
import { printProofs, printRows, printTimes, rowsOf } from "./report.ts";
import { openStage, type Stage } from "./environment.ts";

const WORKERS = 3;
/** A task that has not moved for so long is stuck. */
const STUCK_MS = 90_000;

const say = (line: string) => void process.stdout.write(`${line}\n`);
const options = readOptions(process.argv.slice(2));
process.exitCode = (await chaos(options)) ? 0 : 1;

async function chaos({ tasks, faults, seed, queue, slots, keep, verbose }: Options): Promise<boolean> {
  say(`chaos: ${tasks} tasks, ${faults.join(" ")}, queues on ${queue}; again: --seed ${seed}`);
  const began = Date.now();
  const tell = (text: string) => say(`${seconds(began)} s: ${text}`);
  await using stage = await openStage({ queue, slots, keep });
  if (keep) say(`in ${stage.dir}`);
  const interrupted = new Promise<void>((resolve) => process.once("SIGINT", resolve).once("SIGTERM", resolve));
  const crew = await startCrew(stage, WORKERS);
  let over = false;
  try {
    tell(`${WORKERS} workers and one web process are up`);
    const startedAt = Date.now();
    const asked = startAskers(stage, tasks, `chaos-${seed}`);
    const strikes: Strike[] = [];
    const arena = {
      stage,
      crew,
      strikes,
      random: seeded(seed),
      rounds: tasks >= 500 ? 4 : 1,
      isOver: () => over,
      say: tell,
    };
    const striking = strikeAll(arena, faults);
    const looks = async () => tell(`${JSON.stringify(await progressOf(stage))}, ${strikes.length} strikes`);
    const timer = setInterval(() => void looks(), verbose ? 5_000 : 30_000);
    const flow = asked.done.then(() => untilQuiet(stage, STUCK_MS));
    const stuck = await Promise.race([flow, striking.then(() => flow), interrupted.then(() => "interrupted" as const)]);
    over = true;
    asked.stop();
    clearInterval(timer);
    if (stuck === "interrupted") return false;
    const { duplicated } = await striking;
    // What the last fault and the last copies set in motion.
    const restless = stuck ?? (await untilQuiet(stage, STUCK_MS));
    const tookMs = Date.now() - startedAt;
    await crew.stop();
    printRows(await rowsOf(stage, strikes, faults), duplicated, say);
    return await judge({ stage, crew, asked, strikes, restless, tookMs });
  } finally {
    over = true;
    await crew.stop();
  }
}

interface Outcome {
  readonly stage: Stage;
  readonly crew: Crew;
  readonly asked: ReturnType<typeof startAskers>;
  readonly strikes: readonly Strike[];
  readonly restless: unknown;
  readonly tookMs: number;
}

/** Everything that must hold, looked at and printed; false when anything does not. */
async function judge({ stage, crew, asked, strikes, restless, tookMs }: Outcome): Promise<boolean> {
  const accidents = [...crew.accidents, ...asked.wrong, ...strikes.flatMap(({ wrong }) => wrong ?? [])];
  if (restless) accidents.push(`it never became quiet: ${JSON.stringify(restless)}`);
  const ours = { id: "crew", statement: "nobody ended by itself, and every answer was right", violations: accidents };
  const proofs = [...(await proveAll(stage, asked.tasks)), ours];
  say("");
  printProofs(proofs, say);
  await printTimes(stage, say);
  const { size } = asked.tasks;
  const perSecond = (size / (tookMs / 1_000)).toFixed(1);
  say(
    `\n${size} tasks in ${(tookMs / 1_000).toFixed(0)} s, ${perSecond}/s; ${asked.refusals} refusals at the limit, ${asked.failures} answers that did not come`,
  );
  return proofs.every(({ violations }) => violations.length === 0);
}

function seconds(since: number): string {
  return ((Date.now() - since) / 1_000).toFixed(0).padStart(4);
}

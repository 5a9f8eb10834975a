/** `npm run chaos`: real processes and stores, faults while tasks flow, and at the end everything that must hold is looked at. */
import { startAskers } from "./askers.ts";
import { startCrew } from "./crew.ts";
import type { Strike } from "./faults.ts";
import { readOptions, seeded, type Options } from "./options.ts";
import { strikeAll } from "./plan.ts";
import { proveAll } from "./proofs.ts";
import { progressOf, untilQuiet } from "./quiet.ts";
import { printProofs, printRows, printTimes, rowsOf } from "./report.ts";
import { openStage } from "./stage.ts";

const WORKERS = 3;
/** A task that has not moved for so long is stuck. */
const STUCK_MS = 90_000;

const say = (line: string) => void process.stdout.write(`${line}\n`);
const options = readOptions(process.argv.slice(2));
process.exitCode = (await chaos(options)) ? 0 : 1;

async function chaos({ tasks, faults, seed, queue, slots, keep, verbose }: Options): Promise<boolean> {
  say(`chaos: ${tasks} tasks, ${faults.join(" ")}, queues on ${queue}; again: --seed ${seed}`);
  const random = seeded(seed);
  const began = Date.now();
  await using stage = await openStage({ queue, slots, keep });
  if (keep) say(`in ${stage.dir}`);
  const interrupted = new Promise<void>((resolve) => process.once("SIGINT", resolve).once("SIGTERM", resolve));
  let over = false;
  const crew = await startCrew(stage, WORKERS);
  try {
    say(`${seconds(began)} s: ${WORKERS} workers and one web process are up`);
    const startedAt = Date.now();
    const asked = startAskers(stage, tasks, `chaos-${seed}`);
    const strikes: Strike[] = [];
    const striking = strikeAll(
      {
        stage,
        crew,
        strikes,
        random,
        rounds: tasks >= 500 ? 4 : 1,
        isOver: () => over,
        say: (text) => say(`${seconds(began)} s: ${text}`),
      },
      faults,
    );
    const timer = setInterval(
      () =>
        void progressOf(stage).then((now) =>
          say(`${seconds(began)} s: ${JSON.stringify(now)}, ${strikes.length} strikes`),
        ),
      verbose ? 5_000 : 30_000,
    );
    const flow = asked.done.then(() => untilQuiet(stage, STUCK_MS));
    const stuck = await Promise.race([flow, striking.then(() => flow), interrupted.then(() => "interrupted" as const)]);
    over = true;
    asked.stop();
    clearInterval(timer);
    if (stuck === "interrupted") return false;
    const { duplicated } = await striking;
    // What the last fault and the last copies set in motion.
    const restless = stuck ?? (await untilQuiet(stage, STUCK_MS));
    await crew.stop();

    say("");
    printRows(await rowsOf(stage, strikes, faults), duplicated, say);
    say("");
    const proofs = await proveAll(stage, asked.tasks);
    const accidents = [...crew.accidents, ...asked.wrong, ...strikes.flatMap(({ wrong }) => wrong ?? [])];
    if (restless) accidents.push(`it never became quiet: ${JSON.stringify(restless)}`);
    printProofs(
      [
        ...proofs,
        { id: "crew", statement: "nobody ended by itself, and every answer was right", violations: accidents },
      ],
      say,
    );
    await printTimes(stage, say);
    const seconds1 = (Date.now() - startedAt) / 1_000;
    say(
      `\n${asked.tasks.size} tasks in ${seconds1.toFixed(0)} s, ${(asked.tasks.size / seconds1).toFixed(1)}/s; ${asked.refusals} refusals at the limit, ${asked.failures} answers that did not come`,
    );
    return accidents.length === 0 && proofs.every(({ violations }) => violations.length === 0);
  } finally {
    over = true;
    await crew.stop();
  }
}

function seconds(since: number): string {
  return ((Date.now() - since) / 1_000).toFixed(0).padStart(4);
}

/** `npm run chaos`: real processes and stores, faults while tasks are running, and at the end every check. */
import { startClients } from "./clients.ts";
import { startWorkerPool, type WorkerPool } from "./workers.ts";
import type { FaultRecord } from "./faults.ts";
import { seededRandom } from "../../src/processes/seeded-random.ts";
import { readOptions, type ChaosOptions } from "./options.ts";
import { injectFaults } from "./plan.ts";
import { proveAll } from "./proofs.ts";
import { readProgress, waitUntilIdle } from "./idle.ts";
import { printProofs, printRows, printTimes, buildFaultRows } from "./report.ts";
import { openEnvironment, type ChaosEnvironment } from "./environment.ts";

const WORKERS = 3;
/** A task without a transition for so long is stuck. */
const STUCK_MS = 90_000;

const say = (line: string) => void process.stdout.write(`${line}\n`);
const options = readOptions(process.argv.slice(2));
process.exitCode = (await chaos(options)) ? 0 : 1;

async function chaos({ tasks, faults, seed, queue, slots, keep, verbose }: ChaosOptions): Promise<boolean> {
  say(`chaos: ${tasks} tasks, ${faults.join(" ")}, queues on ${queue}; again: --seed ${seed}`);
  const began = Date.now();
  const logProgress = (text: string) => say(`${seconds(began)} s: ${text}`);
  await using stage = await openEnvironment({ queue, slots, keep });
  if (keep) say(`in ${stage.dir}`);
  const interrupted = new Promise<void>((resolve) => process.once("SIGINT", resolve).once("SIGTERM", resolve));
  const crew = await startWorkerPool(stage, WORKERS);
  let over = false;
  try {
    logProgress(`${WORKERS} workers and one web process are up`);
    const startedAt = Date.now();
    const clients = startClients(stage, tasks, `chaos-${seed}`);
    const strikes: FaultRecord[] = [];
    const arena = {
      stage,
      crew,
      strikes,
      random: seededRandom(seed),
      rounds: tasks >= 500 ? 4 : 1,
      isOver: () => over,
      say: logProgress,
    };
    const striking = injectFaults(arena, faults);
    const logCounts = async () =>
      logProgress(`${JSON.stringify(await readProgress(stage))}, ${strikes.length} strikes`);
    const timer = setInterval(() => void logCounts(), verbose ? 5_000 : 30_000);
    const flow = clients.done.then(() => waitUntilIdle(stage, STUCK_MS));
    const stuck = await Promise.race([flow, striking.then(() => flow), interrupted.then(() => "interrupted" as const)]);
    over = true;
    clients.stop();
    clearInterval(timer);
    if (stuck === "interrupted") return false;
    const { duplicated } = await striking;
    // Waits for the effects of the last fault and the last copies.
    const restless = stuck ?? (await waitUntilIdle(stage, STUCK_MS));
    const tookMs = Date.now() - startedAt;
    await crew.stop();
    printRows(await buildFaultRows(stage, strikes, faults), duplicated, say);
    return await verifyOutcome({ stage, crew, asked: clients, strikes, restless, tookMs });
  } finally {
    over = true;
    await crew.stop();
  }
}

interface ChaosOutcome {
  readonly stage: ChaosEnvironment;
  readonly crew: WorkerPool;
  readonly asked: ReturnType<typeof startClients>;
  readonly strikes: readonly FaultRecord[];
  readonly restless: unknown;
  readonly tookMs: number;
}

/** Runs and prints every check; false when one fails. */
async function verifyOutcome({ stage, crew, asked, strikes, restless, tookMs }: ChaosOutcome): Promise<boolean> {
  const failures = [...crew.unexpectedExits, ...asked.wrong, ...strikes.flatMap(({ wrong }) => wrong ?? [])];
  if (restless) failures.push(`it never became quiet: ${JSON.stringify(restless)}`);
  const poolCheck = {
    id: "processes",
    statement: "no process ended by itself, and every answer was right",
    violations: failures,
  };
  const proofs = [...(await proveAll(stage, asked.tasks)), poolCheck];
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

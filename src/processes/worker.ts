/** The worker process: processors on their queues, the outbox relay, schedules, and this host's reporter. */
import { statfs } from "node:fs/promises";
import { loadavg } from "node:os";
import { hostProcessor, PROCESSORS } from "../../processors/index.ts";
import { fleetSchedules } from "../../schedules/fleet.ts";
import { configFingerprint } from "../conductor/drift/fleet-survey.ts";
import { enforceKillSwitches } from "../conductor/attempts/enforce-kill-switches.ts";
import { releaseHostLease, runHostDuties, tickHost } from "../conductor/monitor/host.ts";
import { syncSchedules } from "../conductor/schedules/files.ts";
import { startLoop, type Loop } from "./loop.ts";
import type { OpenFleet } from "./fleet.ts";
import { startSelfMonitoring } from "./watch.ts";
import { messageOf } from "../domain/errors.ts";
import { startRelay } from "./relay.ts";

export interface WorkerOptions {
  /** Processes only these queues; all when undefined. */
  readonly queues?: readonly string[] | undefined;
  readonly tickMs: number;
  readonly versions: Readonly<Record<string, string>>;
}

export interface RunningWorker {
  /** Stops claiming, finishes or hands back jobs, and releases the host's lease. Agents continue to run. */
  drain(): Promise<void>;
}

/** A kill switch must take effect everywhere within five seconds, so there is time to repeat a failed check. */
const ESTOP_POLL_MS = 1_000;
/** A lost delayed job stops a scheduler silently, so schedules are asserted repeatedly. */
const PERIODS_PER_ASSERTION = 2;

/** The fingerprint of the current settings; computed again only when they were reloaded. */
function cachedFingerprint(fleet: OpenFleet["fleet"]): () => string {
  let [source, fingerprint] = [fleet.settings, configFingerprint(fleet)];
  return () => {
    if (fleet.settings !== source) [source, fingerprint] = [fleet.settings, configFingerprint(fleet)];
    return fingerprint;
  };
}

export async function startWorker(
  open: OpenFleet,
  { queues, tickMs, versions }: WorkerOptions,
): Promise<RunningWorker> {
  const { fleet, broker } = open;
  const { log } = fleet;
  const onError = (component: string) => (error: unknown) =>
    log.warn({ component, error: messageOf(error) }, "step failed, retrying");

  const draining = new AbortController();
  const readFingerprint = cachedFingerprint(fleet);
  const relay = startRelay(open);
  const loops: Loop[] = [relay];
  const holdsAgents = fleet.host.slots > 0;
  const own = holdsAgents ? [...PROCESSORS, hostProcessor(fleet.host.id)] : PROCESSORS;
  const selected = own.filter(({ queue }) => {
    if (!holdsAgents && queue.name === "spawn") return false;
    return !queues || queues.includes(queue.name) || queue.name.startsWith("host.");
  });
  if (holdsAgents) {
    // Registered before the first claim, because slots are counted on the host's row.
    const tick = () => reportHost(open, tickMs, { ...versions, config: readFingerprint() });
    await tick().catch(onError("host"));
    loops.push(startLoop({ everyMs: tickMs, step: tick, onError: onError("host") }));
    loops.push(
      startLoop({ everyMs: tickMs, step: () => runHostDuties(fleet, draining.signal), onError: onError("host") }),
    );
  }
  loops.push(startLoop({ everyMs: ESTOP_POLL_MS, step: () => enforceKillSwitches(fleet), onError: onError("estop") }));
  loops.push(startSelfMonitoring(fleet));
  await Promise.all(
    selected.map(({ queue, handle }) => broker.consume(queue, (data, signal) => handle(fleet, data, signal))),
  );
  const assertSchedules = async () => {
    const ours = fleetSchedules({ tickMs, planner: fleet.settings.planner });
    return broker.applySchedules([...ours, ...(await syncSchedules(fleet))]);
  };
  await assertSchedules();
  loops.push(
    startLoop({ everyMs: tickMs * PERIODS_PER_ASSERTION, step: assertSchedules, onError: onError("schedules") }),
  );
  log.info(
    { component: "worker", queues: selected.map(({ queue }) => queue.name), slots: fleet.host.slots },
    "working",
  );

  return {
    async drain() {
      draining.abort();
      await Promise.all([...loops.map((loop) => loop.stop()), broker.drain()]);
      if (holdsAgents) await releaseHostLease(fleet).catch(onError("host"));
      log.info({ component: "worker" }, "drained; agents continue to run");
    },
  };
}

async function reportHost(open: OpenFleet, tickMs: number, versions: Readonly<Record<string, string>>): Promise<void> {
  const disk = await statfs(open.fleet.home);
  await tickHost(open.fleet, {
    tickMs,
    versions,
    load: loadavg()[0] ?? 0,
    diskFreeMb: Math.floor((disk.bavail * disk.bsize) / 1_048_576),
  });
}

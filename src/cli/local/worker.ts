/** fleet worker: runs the processors, the relay, and this host's reporter. */
import { asString, type Command } from "../command.ts";
import { plural } from "../print/format.ts";
import type { Terminal } from "../print/terminal.ts";

export const workerCommand: Command = {
  usage: "worker",
  summary: "process the queues, and run agents on this machine",
  options: [
    ["--queues <a,b>", "only these queues (default: all)"],
    ["--slots <n>", "how many agents may run at once; 0 runs none"],
    ["--drain", "shut down the workers of this home instead; their agents continue, and the next worker adopts them"],
  ],
  examples: ["fleet worker --slots 8", "fleet worker --queues ci,review --slots 0", "fleet worker --drain"],

  async run({ terminal }, _args, { queues, slots, drain }) {
    if (drain) return drainLocalWorkers(terminal);
    const [
      { processConfig },
      { openLog },
      { openFleet },
      { startWorker },
      { hostVersions },
      { dieOnUnhandled, drainOnSignal },
    ] = await Promise.all([
      import("../../processes/env.ts"),
      import("../../log.ts"),
      import("../../processes/fleet.ts"),
      import("../../processes/worker.ts"),
      import("../../processes/versions.ts"),
      import("../../processes/shutdown.ts"),
    ]);
    const { QUEUES } = await import("../../../queues/index.ts");
    const wanted = asString(queues)?.split(",");
    const unknown = wanted?.filter((name) => !QUEUES.some((queue) => queue.name === name)) ?? [];
    if (unknown.length > 0) {
      const { fleetError } = await import("../client/credentials.ts");
      const names = QUEUES.map(({ name }) => name).join(", ");
      throw await fleetError("invalid-input", `There is no queue ${unknown.join(", ")}. Choose from: ${names}`);
    }
    const typed = asString(slots);
    const config = processConfig(typed === undefined ? {} : { FLEET_SLOTS: typed });
    const log = await openLog({ level: config.FLEET_LOG_LEVEL });
    dieOnUnhandled(log);
    const open = await openFleet({
      config,
      log,
      write: terminal.raw,
      statementTimeoutMs: 30_000,
      onStuck(_queue, sentence) {
        // The supervisor starts a new worker, with new connections.
        log.fatal({ component: "queue" }, sentence);
        process.exit(1);
      },
    });
    const { registerWorker } = await import("../../processes/worker-pids.ts");
    const unregister = await registerWorker(config.FLEET_HOME);
    const worker = await startWorker(open, {
      tickMs: config.FLEET_TICK_MS,
      versions: await hostVersions(),
      ...(wanted ? { queues: wanted } : {}),
    });
    await drainOnSignal(log, async () => {
      await worker.drain();
      await open.close();
      await unregister();
    });
    return undefined;
  },
};

async function drainLocalWorkers(terminal: Terminal): Promise<void> {
  const [{ processConfig }, { drainWorkers }] = await Promise.all([
    import("../../processes/env.ts"),
    import("../../processes/worker-pids.ts"),
  ]);
  let reported = -1;
  const drained = await drainWorkers(processConfig().FLEET_HOME, (left) => {
    if (left > 0 && left !== reported) terminal.note(`Waiting for ${plural(left, "worker")} to finish current work …`);
    reported = left;
  });
  terminal.line(
    drained === 0
      ? "No worker of this home is running on this machine."
      : `${plural(drained, "worker")} drained. Agents continue to run.`,
  );
}

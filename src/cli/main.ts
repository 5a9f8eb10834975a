/** fleet: the verbs, each loaded only when it is used; and the one place where a failure becomes text and an exit code. */
import { VERSION } from "../domain/version.ts";
import type { Command } from "./command.ts";
import type { World } from "./world.ts";

/**
 * The verbs that `fleet --help` lists, in this order. A verb that is not listed does not exist. One word may have several commands (`run`,
 * `run show`); the command that the bare word runs comes first.
 */
export const COMMANDS: Readonly<Record<string, () => Promise<Command | readonly Command[]>>> = {
  up: async () => (await import("./local/up.ts")).upCommand,
  web: async () => (await import("./local/web.ts")).webCommand,
  worker: async () => (await import("./local/worker.ts")).workerCommand,
  migrate: async () => (await import("./local/migrate.ts")).migrateCommand,
  doctor: async () => (await import("./local/doctor/doctor.ts")).doctorCommand,
  demo: async () => (await import("./local/demo/demo.ts")).demoCommand,
  init: async () => (await import("./local/init/init.ts")).initCommand,
  spawn: async () => (await import("./commands/spawn.ts")).spawnCommand,
  ps: async () => (await import("./commands/ps.ts")).psCommand,
  show: async () => (await import("./commands/show.ts")).showCommand,
  logs: async () => (await import("./commands/logs.ts")).logsCommand,
  stop: async () => (await import("./commands/stop.ts")).stopCommand,
  retry: async () => (await import("./commands/retry.ts")).retryCommand,
  merge: async () => (await import("./commands/merge.ts")).mergeCommand,
  reject: async () => (await import("./commands/reject.ts")).rejectCommand,
  rm: async () => (await import("./commands/rm.ts")).rmCommand,
  budget: async () => (await import("./commands/budget.ts")).budgetCommands,
  estop: async () => (await import("./commands/estop.ts")).estopCommands,
  products: async () => (await import("./commands/products.ts")).productsCommands,
  plan: async () => (await import("./commands/plan.ts")).planCommand,
  run: async () => (await import("./commands/run.ts")).runCommands,
  orders: async () => (await import("./commands/orders.ts")).ordersCommands,
  runs: async () => (await import("./commands/runs.ts")).runsCommand,
  events: async () => (await import("./commands/events.ts")).eventsCommand,
  login: async () => (await import("./commands/login.ts")).loginCommand,
  token: async () => (await import("./commands/token.ts")).tokenCommands,
  operators: async () => (await import("./commands/operators.ts")).operatorsCommands,
  keys: async () => (await import("./commands/keys.ts")).keysCommands,
  config: async () => (await import("./commands/config.ts")).configCommands,
  notify: async () => (await import("./commands/notify.ts")).notifyCommands,
  audit: async () => (await import("./commands/audit.ts")).auditCommands,
  schedules: async () => (await import("./commands/schedules.ts")).schedulesCommands,
  pushed: async () => (await import("./commands/pushed.ts")).pushedCommand,
  gc: async () => (await import("./commands/gc.ts")).gcCommand,
  snapshots: async () => (await import("./local/snapshots.ts")).snapshotsCommands,
  drift: async () => (await import("./commands/drift.ts")).driftCommands,
  science: async () => (await import("./commands/science.ts")).scienceCommand,
  invariants: async () => (await import("./commands/invariants.ts")).invariantsCommand,
};

/** Runs the command line; resolves to the exit code and never rejects. */
export async function main(argv: readonly string[], world: World): Promise<number> {
  if (argv.length === 1 && (argv[0] === "--version" || argv[0] === "-V")) {
    world.stdout.write(`${VERSION}\n`);
    return 0;
  }
  try {
    const { parse } = await import("./parse.ts");
    return await parse(COMMANDS, argv, world);
  } catch (error) {
    const { report } = await import("./report.ts");
    return report(error, { json: argv.includes("--json"), world });
  }
}

/** fleet schedules: when products are maintained automatically; pausing, resuming and running a schedule; the hook for pushes. */
import { asString, type Command, NOT_VERIFIED, type Shell } from "../command.ts";
import type { ScheduleRunView, ScheduleView } from "../../views/orders/schedule.ts";

const oneView = async () => (await import("../../views/orders/schedule.ts")).ScheduleView;
const runView = async () => (await import("../../views/orders/schedule.ts")).ScheduleRunView;
const allView = async () => (await import("../../views/orders/schedule.ts")).SchedulesView;

const listCommand: Command = {
  usage: "schedules",
  summary: "list the schedules of products, and what differs from their files",
  options: [["--exit-code", "exit with 4 when a file is not valid, or files and queue differ"]],
  examples: [
    "fleet schedules",
    "fleet schedules --json | jq '.schedules[] | select(.standing == \"invalid\").problems'",
  ],

  async run({ api, terminal, json, world }, _args, { exitCode }) {
    const view = await api.request("GET /api/fleet/schedules", {}, allView);
    if (json) terminal.json(view);
    else {
      const { scheduleLines } = await import("../print/schedule-table.ts");
      for (const line of scheduleLines(terminal, view, world.clock())) terminal.line(line);
    }
    const isWrong = view.differences > 0 || view.schedules.some(({ standing }) => standing === "invalid");
    return exitCode && isWrong ? NOT_VERIFIED : 0;
  },
};

const pauseCommand: Command = {
  usage: "schedules pause <product>",
  summary: "create no orders for a product until its schedule is resumed",
  options: [["--reason <reason>", "why; shown with the schedule"]],
  examples: ['fleet schedules pause shop --reason "the build machine moves"'],

  async run(shell, [product = ""], { reason }) {
    const params = { path: { product }, body: { reason: asString(reason) ?? "" } };
    const view = await shell.api.request("POST /api/fleet/schedules/:product/pause", params, oneView);
    await printSchedule(shell, view, `Resume it: fleet schedules resume ${view.product}`);
  },
};

const resumeCommand: Command = {
  usage: "schedules resume <product>",
  summary: "resume a paused schedule; missed runs are not made up",
  options: [],
  examples: ["fleet schedules resume shop"],

  async run(shell, [product = ""]) {
    const view = await shell.api.request("POST /api/fleet/schedules/:product/resume", { path: { product } }, oneView);
    await printSchedule(shell, view, view.next === null ? "It runs only on request." : `Next: ${view.next}`);
  },
};

const runCommand: Command = {
  usage: "schedules run <product>",
  summary: "run a schedule now; its next time does not change",
  options: [],
  examples: ["fleet schedules run shop"],

  async run(shell, [product = ""]) {
    printScheduleRun(
      shell,
      await shell.api.request("POST /api/fleet/schedules/:product/run", { path: { product } }, runView),
    );
  },
};

const hookCommand: Command = {
  usage: "schedules hook <product>",
  summary: "print the git hook that reports pushes to a product with cadence on_push",
  options: [],
  examples: ["fleet schedules hook shop > /srv/git/shop.git/hooks/post-receive && chmod +x $_"],

  async run({ api, terminal, json }, [product = ""]) {
    const { schedules } = await api.request("GET /api/fleet/schedules", {}, allView);
    const found = schedules.find((schedule) => schedule.product === product);
    if (!found) {
      const { FleetError } = await import("../../domain/errors.ts");
      throw new FleetError("not-found", `There is no schedule ${product}. List yours: fleet schedules`);
    }
    const script = hookScript(found.product, found.baseBranch ?? "main");
    if (json) terminal.json({ product: found.product, script });
    else terminal.raw(script);
    if (found.cadence !== "on_push") {
      terminal.note(
        `Its cadence is ${found.cadence ?? "unknown"}: pushes matter only for on_push, so the hook will have no effect.`,
      );
    }
  },
};

export const schedulesCommands: readonly Command[] = [
  listCommand,
  pauseCommand,
  resumeCommand,
  runCommand,
  hookCommand,
];

/** Product ids and branch names contain nothing that a shell would interpret between single quotes. */
function hookScript(product: string, branch: string): string {
  return `#!/bin/sh
# post-receive: tells Fleetwright that ${product} was pushed. A push never waits for it, and never fails by it.
while read -r _old new ref; do
  [ "$ref" = 'refs/heads/${branch.replaceAll("'", "")}' ] || continue
  case $new in *[!0]*) ;; *) continue ;; esac
  (unset GIT_DIR GIT_WORK_TREE; fleet pushed '${product}' --sha "$new" >/dev/null 2>&1 </dev/null &)
done
exit 0
`;
}

async function printSchedule({ terminal, json }: Shell, view: ScheduleView, step: string): Promise<void> {
  if (json) {
    terminal.json(view);
    return;
  }
  const { paintState } = await import("../print/schedule-table.ts");
  terminal.line(`${paintState(terminal, view.standing)}  ${terminal.paint("bold", terminal.sanitize(view.product))}`);
  terminal.line(terminal.paint("dim", `  ${step}`));
}

export function printScheduleRun({ terminal, json }: Shell, run: ScheduleRunView): void {
  if (json) {
    terminal.json(run);
    return;
  }
  terminal.line(`${terminal.paint("bold", terminal.sanitize(run.product))}  ${terminal.sanitize(run.outcome)}`);
  for (const { id, intent } of run.orders) terminal.line(`  ${intent.padEnd(18)} ${id}`);
  if (run.orders.length > 0) terminal.line(terminal.paint("dim", `  Follow them: fleet runs --product ${run.product}`));
}

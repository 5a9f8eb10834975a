/** fleet estop: the kill switch. Lists what is stopped, stops and releases. */
import { asString, type Command, type CommandOptions, type Shell } from "../command.ts";
import type { EstopsView } from "../../views/estop.ts";

const allView = async () => (await import("../../views/estop.ts")).EstopsView;

const TARGETS = [
  ["--agent <task>", "one task and its agent"],
  ["--product <product>", "everything that belongs to a product"],
  ["--tenant <tenant>", "everything of a tenant (tier sovereign, role admin)"],
  ["--fleet", "everything (role admin)"],
] as const;

const stopCommand: Command = {
  usage: "estop",
  summary: "list what is stopped on purpose, or stop a task, a product, a tenant or the fleet at once",
  options: [
    ...TARGETS,
    ["--park", "nothing new starts; running work finishes (default)"],
    ["--freeze", "nothing new starts; running work is paused"],
    ["--abort", "nothing new starts; running work is stopped"],
    ["--reason <reason>", "why; shown wherever it applies (required)"],
  ],
  examples: [
    "fleet estop",
    'fleet estop --tenant acme --freeze --reason "it answers customers"',
    'fleet estop --fleet --park --reason "the disks are moved"',
    'fleet estop --agent a1b2c3d4 --abort --reason "it mails everybody"',
  ],

  async run(shell, _args, options) {
    const { scope, subject } = await parseTarget(options);
    const modes = (["park", "freeze", "abort"] as const).filter((mode) => options[mode] === true);
    const reason = asString(options["reason"]);
    if (scope === undefined && modes.length === 0 && reason === undefined) {
      await printKillSwitches(
        shell,
        await shell.api.request("GET /api/fleet/estop", {}, allView),
        "Nothing is stopped.",
      );
      return;
    }
    if (scope === undefined) throw await usageError("Choose what to stop: --agent, --product, --tenant or --fleet.");
    if (modes.length > 1) throw await usageError(`Choose one of --park, --freeze and --abort, not ${modes.length}.`);
    if (reason === undefined)
      throw await usageError('Say why: --reason "…". It is shown wherever the switch holds something.');
    const body = { scope, subject, mode: modes[0], reason };
    await printKillSwitches(shell, await shell.api.request("POST /api/fleet/estop", { body }, allView), "");
  },
};

const releaseCommand: Command = {
  usage: "estop release",
  summary: "release what was stopped; other stops stay in force",
  options: [...TARGETS, ["--reason <reason>", "why; recorded in the audit log"]],
  examples: ["fleet estop release --tenant acme", 'fleet estop release --fleet --reason "the disks are moved"'],

  async run(shell, _args, options) {
    const { scope, subject } = await parseTarget(options);
    if (scope === undefined) throw await usageError("Choose what to release: --agent, --product, --tenant or --fleet.");
    const body = { scope, subject, reason: asString(options["reason"]) };
    await printKillSwitches(
      shell,
      await shell.api.request("POST /api/fleet/estop/release", { body }, allView),
      "Released. Nothing is stopped now.",
    );
  },
};

/** The command that the bare word runs comes first. */
export const estopCommands: readonly Command[] = [stopCommand, releaseCommand];

interface Target {
  readonly scope: "agent" | "product" | "tenant" | "fleet" | undefined;
  readonly subject: string | undefined;
}

async function parseTarget(options: CommandOptions): Promise<Target> {
  const named = (["agent", "product", "tenant", "fleet"] as const).filter((scope) => options[scope] !== undefined);
  if (named.length > 1)
    throw await usageError(`Choose one of --agent, --product, --tenant and --fleet, not ${named.length}.`);
  const [scope] = named;
  return { scope, subject: scope === undefined ? undefined : asString(options[scope]) };
}

async function usageError(sentence: string): Promise<Error> {
  const { FleetError } = await import("../../domain/errors.ts");
  return new FleetError("invalid-input", sentence);
}

async function printKillSwitches({ terminal, json, world }: Shell, view: EstopsView, none: string): Promise<void> {
  if (json) {
    terminal.json(view);
    return;
  }
  const { killSwitchLines } = await import("../print/estop-lines.ts");
  for (const line of killSwitchLines(terminal, view.stops, world.clock())) terminal.line(line);
  if (view.stops.length === 0) terminal.line(none);
  else terminal.line(terminal.paint("dim", "  Release it: fleet estop release, with the same target"));
}

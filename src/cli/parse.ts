/** Parses the command line with commander, which receives the verbs as data. */
import { Command as Program, CommanderError } from "commander";
import type { Command } from "./command.ts";
import { VERSION } from "../domain/version.ts";
import type { World } from "./world.ts";

type Verbs = Readonly<Record<string, () => Promise<Command | readonly Command[]>>>;

const USAGE_EXIT_CODE = 2;
const HELP_CODES: ReadonlySet<string> = new Set(["commander.helpDisplayed", "commander.version"]);

export async function parse(verbs: Verbs, argv: readonly string[], world: World): Promise<number> {
  const typed = argv[0] === "help" && argv[1] ? [argv[1], "--help"] : argv;
  const verb = verbs[typed.find((word) => !word.startsWith("-")) ?? ""];
  let exit = 0;
  const program = programFor(world);
  const commands = await Promise.all((verb ? [verb] : Object.values(verbs)).map((load) => load()));
  for (const command of commands.flat()) {
    addCommand(program, command, async (args, { json, ...options }) => {
      exit = (await command.run(await openShell({ world, json: json === true }), args, options)) ?? 0;
    });
  }
  try {
    await program.parseAsync([...typed], { from: "user" });
    return exit;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return HELP_CODES.has(error.code) ? 0 : USAGE_EXIT_CODE;
  }
}

function programFor({ stdout, stderr }: World): Program {
  return new Program("fleet")
    .description("Runs a fleet of coding agents.")
    .version(VERSION)
    .helpCommand(false)
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void stdout.write(text),
      writeErr: (text) => void stderr.write(text),
      getOutHelpWidth: () => stdout.columns ?? 100,
      getErrHelpWidth: () => stderr.columns ?? 100,
    })
    .showHelpAfterError("(fleet --help lists the verbs; fleet <verb> --help shows examples)")
    .addHelpText("after", "\nExit codes: 0 ok, 1 failure, 2 usage, 3 not found or denied, 4 not verified");
}

type CommandAction = (args: readonly string[], options: Record<string, unknown>) => Promise<void>;

function addCommand(program: Program, { usage, summary, options, examples }: Command, run: CommandAction): void {
  const words = usage.split(" ");
  const grouped = /^\w/.test(words[1] ?? "");
  const parent = grouped ? group(program, words.shift() ?? "", `${words[0]}: ${summary}`) : program;
  // Options are positional, here and at the root: `run show` may have options with the same names as those of `run`.
  const verb = parent.command(words.join(" ")).description(summary).enablePositionalOptions();
  for (const [flags, description] of options) verb.option(flags, description);
  verb.option("--json", "print JSON, for scripts");
  verb.addHelpText("after", `\nExamples:\n${examples.map((line) => `  $ ${line}`).join("\n")}`);
  verb.action(async () => run(verb.args, verb.opts()));
}

function group(program: Program, name: string, summary: string): Program {
  return program.commands.find((known) => known.name() === name) ?? program.command(name).description(summary);
}

/** Nothing here loads a schema or opens a connection, so that a verb pays only for what it uses. */
async function openShell({ world, json }: { readonly world: World; readonly json: boolean }) {
  const [{ connectApi }, { openTerminal }, { readCredentials }] = await Promise.all([
    import("./client/api.ts"),
    import("./print/terminal.ts"),
    import("./client/credentials.ts"),
  ]);
  return { world, json, api: connectApi(() => readCredentials(world.env)), terminal: openTerminal(world) };
}

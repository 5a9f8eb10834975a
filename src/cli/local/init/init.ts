/** fleet init: writes a fleet.yaml for the current repository, from what its files show and what the user answers. */
import { mkdir, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { createInterface } from "node:readline";
import { FleetError } from "../../../domain/errors.ts";
import { Criticality, Slug } from "../../../domain/product.ts";
import { Cadence, parseSchedule } from "../../../domain/orders/schedule.ts";
import { tryGit } from "../../../git/git.ts";
import { parseSettingsFile } from "../../../processes/settings.ts";
import { asString, type Command, type CommandOptions, type Shell } from "../../command.ts";
import type { Terminal } from "../../print/terminal.ts";
import { detectProject } from "./detect.ts";
import { idFrom, scheduleText, settingsText, type ProductChoice } from "./file.ts";
import type { Detected } from "./project.ts";
import type { World, Input } from "../../world.ts";

export const initCommand: Command = {
  usage: "init",
  summary: "write a fleet.yaml for the current repository",
  options: [
    ["-y, --yes", "accept everything that was detected, without questions"],
    ["--schedule <cadence>", "also write a schedule: hourly, daily, weekly, manual or on_push"],
    ["--force", "overwrite existing files"],
  ],
  examples: ["fleet init", "fleet init --yes --schedule daily"],

  async run(shell, _args, options) {
    const { terminal, world, json } = shell;
    const cadence = readCadence(options);
    const root = await topFolder(world.cwd);
    const file = join(root, "fleet.yaml");
    // Checked before the first question, so that no answer is lost.
    await assertNotExists(file, options);
    const detected = await detectProject(root);
    if (!json) terminal.line(foundLine(terminal, detected));
    const suggested = await suggest(root, detected);
    const chosen = options["yes"] || json ? suggested : await promptForChoices(shell, suggested);
    const schedule = cadence && join(root, "schedules", `${chosen.id}.json`);
    if (schedule) await assertNotExists(schedule, options);

    const text = settingsText(chosen);
    parseSettingsFile(text, file);
    await writeNewFile(file, text, options);
    if (schedule && cadence) await writeSchedule(schedule, scheduleText(chosen, cadence), { id: chosen.id, options });
    const files = [file, ...(schedule ? [schedule] : [])];
    if (json) terminal.json({ files, product: chosen, detected });
    else
      for (const line of doneLines(
        terminal,
        chosen,
        files.map((path) => relative(world.cwd, path)),
      ))
        terminal.line(line);
  },
};

function readCadence(options: CommandOptions): Cadence | undefined {
  const typed = asString(options["schedule"]);
  if (typed === undefined) return undefined;
  const known = Cadence.safeParse(typed);
  if (known.success) return known.data;
  throw new FleetError("invalid-input", `${typed} is not a cadence. Choose one of:  ${Cadence.options.join(", ")}`);
}

async function topFolder(cwd: string): Promise<string> {
  const { exitCode, stdout } = await tryGit(["rev-parse", "--show-toplevel"], { cwd });
  if (exitCode === 0) return stdout.trim();
  throw new FleetError("not-a-repository", `${cwd} is not in a git repository. Change to one, or create one: git init`);
}

async function assertNotExists(file: string, { force }: CommandOptions): Promise<void> {
  const existing = await stat(file).catch(() => undefined);
  if (existing && !force) {
    throw new FleetError("invalid-input", `${file} already exists. To overwrite it: fleet init --force`, { file });
  }
}

async function suggest(root: string, { name, setup, validate, test }: Detected): Promise<ProductChoice> {
  const id = idFrom(name ?? basename(root));
  return { id, baseBranch: await detectBaseBranch(root), criticality: "medium", setup, validate, test };
}

/** The remote's default branch; without a remote the current branch. */
async function detectBaseBranch(root: string): Promise<string> {
  for (const ref of ["refs/remotes/origin/HEAD", "HEAD"]) {
    const { exitCode, stdout } = await tryGit(["symbolic-ref", "--quiet", "--short", ref], { cwd: root });
    if (exitCode === 0 && stdout.trim()) return stdout.trim().replace(/^origin\//, "");
  }
  return "main";
}

/** Asks one question per line; Enter accepts the suggestion in brackets, - means none. */
async function promptForChoices({ terminal, world }: Shell, suggested: ProductChoice): Promise<ProductChoice> {
  const { stdin } = world;
  if (!stdin?.isTTY) {
    throw new FleetError(
      "invalid-input",
      "There is no terminal to answer questions. Accept what was detected: fleet init --yes",
    );
  }
  terminal.line(terminal.paint("dim", "Enter accepts the value in brackets, - means none."));
  using prompt = openPrompt(stdin, world, terminal);
  const id = await prompt.ask("Product", suggested.id, (text) => Slug.safeParse(text).error?.issues[0]?.message);
  return {
    id: id ?? suggested.id,
    baseBranch: (await prompt.ask("Base branch", suggested.baseBranch)) ?? suggested.baseBranch,
    setup: await prompt.ask("Set up with", suggested.setup),
    validate: await prompt.ask("Validate with", suggested.validate),
    test: await prompt.ask("Test with", suggested.test),
    criticality:
      (await prompt.ask("Criticality", suggested.criticality, (text) =>
        Criticality.safeParse(text).success ? undefined : `must be ${Criticality.options.join(", ")}`,
      )) ?? suggested.criticality,
  };
}

type Validator = (text: string) => string | undefined;

function openPrompt(stdin: Input, { signal }: World, { raw, line, paint, sanitize }: Terminal) {
  const reader = createInterface({ input: stdin, terminal: false });
  const lines = reader[Symbol.asyncIterator]();
  const end = () => reader.close();
  signal.addEventListener("abort", end, { once: true });
  return {
    async ask(
      question: string,
      suggestion: string | undefined,
      validate: Validator = () => undefined,
    ): Promise<string | undefined> {
      for (;;) {
        raw(`${paint("bold", question)} ${paint("dim", `[${sanitize(suggestion ?? "none")}]`)} `);
        const { value, done } = await lines.next();
        if (done || signal.aborted) throw new FleetError("invalid-input", "Cancelled; nothing was written.");
        const text = value.trim();
        if (text === "") return suggestion;
        if (text === "-") return undefined;
        const problem = validate(text);
        if (problem === undefined) return text;
        line(paint("yellow", `  ${problem}`));
      }
    },
    [Symbol.dispose]() {
      signal.removeEventListener("abort", end);
      reader.close();
    },
  };
}

/** Without --force the write fails if another process created the file meanwhile. */
async function writeNewFile(file: string, text: string, { force }: CommandOptions): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text, { flag: force ? "w" : "wx" });
}

async function writeSchedule(file: string, text: string, of: { id: string; options: CommandOptions }): Promise<void> {
  const parsed = parseSchedule(text, of.id);
  if (!parsed.ok) throw new Error(`The schedule is not valid: ${JSON.stringify(parsed.problems)}`);
  await writeNewFile(file, text, of.options);
}

function foundLine({ paint, sanitize }: Terminal, { language, packageManager, files }: Detected): string {
  if (files.length === 0) return paint("yellow", "No file shows how this repository is built or tested.");
  const what = language === "unknown" ? "Commands" : language;
  const by = packageManager === undefined ? "" : `, ${packageManager}`;
  return `Found: ${what}${by} ${paint("dim", `(${sanitize(files.join(", "))})`)}`;
}

const NAME_CELLS = 12;

function doneLines({ paint, mark, sanitize }: Terminal, chosen: ProductChoice, files: readonly string[]): string[] {
  const rows = Object.entries({
    product: chosen.id,
    branch: chosen.baseBranch,
    setup: chosen.setup,
    validate: chosen.validate,
    test: chosen.test,
  });
  return [
    "",
    ...rows.map(
      ([name, value]) =>
        `  ${paint("dim", name.padEnd(NAME_CELLS))}${value === undefined ? paint("dim", "none") : sanitize(value)}`,
    ),
    "",
    ...files.map((file) => `${mark(true)} Wrote ${sanitize(file)}`),
    paint("dim", "  Next: fleet up, and in another terminal: fleet plan --explain"),
  ];
}

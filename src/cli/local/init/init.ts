/** fleet init: a good fleet.yaml for the repository it stands in, from what its files say and what a person answers. */
import { mkdir, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { createInterface } from "node:readline";
import { FleetError } from "../../../domain/errors.ts";
import { Criticality, Name } from "../../../domain/product.ts";
import { Cadence, parseSchedule } from "../../../domain/orders/schedule.ts";
import { tryGit } from "../../../git/git.ts";
import { settingsFrom } from "../../../processes/settings.ts";
import { textOf, type Command, type Input, type Options, type Shell, type World } from "../../command.ts";
import type { Terminal } from "../../print/terminal.ts";
import { detectProject, type Detected } from "./detect.ts";
import { idFrom, scheduleText, settingsText, type Chosen } from "./file.ts";

export const initCommand: Command = {
  usage: "init",
  summary: "write a fleet.yaml for the repository you stand in",
  options: [
    ["-y, --yes", "take what was found, ask nothing"],
    ["--schedule <cadence>", "also write a schedule: hourly, daily, weekly, manual or on_push"],
    ["--force", "over files that are there"],
  ],
  examples: ["fleet init", "fleet init --yes --schedule daily"],

  async run(shell, _args, options) {
    const { terminal, world, json } = shell;
    const cadence = cadenceOf(options);
    const root = await topFolder(world.cwd);
    const file = join(root, "fleet.yaml");
    // Before anything is asked.
    await refuseExisting(file, options);
    const detected = await detectProject(root);
    if (!json) terminal.line(foundLine(terminal, detected));
    const suggested = await suggest(root, detected);
    const chosen = options["yes"] || json ? suggested : await ask(shell, suggested);
    const schedule = cadence && join(root, "schedules", `${chosen.id}.json`);
    if (schedule) await refuseExisting(schedule, options);

    const text = settingsText(chosen);
    settingsFrom(text, file);
    await put(file, text, options);
    if (schedule && cadence) await putSchedule(schedule, scheduleText(chosen, cadence), { id: chosen.id, options });
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

function cadenceOf(options: Options): Cadence | undefined {
  const typed = textOf(options["schedule"]);
  if (typed === undefined) return undefined;
  const known = Cadence.safeParse(typed);
  if (known.success) return known.data;
  throw new FleetError("invalid-input", `${typed} is no cadence. There are: ${Cadence.options.join(", ")}`);
}

async function topFolder(cwd: string): Promise<string> {
  const { exitCode, stdout } = await tryGit(["rev-parse", "--show-toplevel"], { cwd });
  if (exitCode === 0) return stdout.trim();
  throw new FleetError("not-a-repository", `${cwd} is in no git repository. Go to one, or make it one: git init`);
}

async function refuseExisting(file: string, { force }: Options): Promise<void> {
  const there = await stat(file).catch(() => undefined);
  if (there && !force) {
    throw new FleetError("invalid-input", `${file} is there already. To write it anew: fleet init --force`, { file });
  }
}

async function suggest(root: string, { name, setup, validate, test }: Detected): Promise<Chosen> {
  const id = idFrom(name ?? basename(root));
  return { id, baseBranch: await baseBranchOf(root), criticality: "medium", setup, validate, test };
}

/** What the remote calls its own; else the branch one stands on. */
async function baseBranchOf(root: string): Promise<string> {
  for (const ref of ["refs/remotes/origin/HEAD", "HEAD"]) {
    const { exitCode, stdout } = await tryGit(["symbolic-ref", "--quiet", "--short", ref], { cwd: root });
    if (exitCode === 0 && stdout.trim()) return stdout.trim().replace(/^origin\//, "");
  }
  return "main";
}

/** One question a line; Enter takes what stands in brackets, - means none. */
async function ask({ terminal, world }: Shell, suggested: Chosen): Promise<Chosen> {
  const { stdin } = world;
  if (!stdin?.isTTY) {
    throw new FleetError("invalid-input", "Nobody is here to answer. Take what was found: fleet init --yes");
  }
  terminal.line(terminal.paint("dim", "Enter takes what stands in brackets, - means none."));
  using answers = openAnswers(stdin, world, terminal);
  const id = await answers.ask("Product", suggested.id, (text) => Name.safeParse(text).error?.issues[0]?.message);
  return {
    id: id ?? suggested.id,
    baseBranch: (await answers.ask("Base branch", suggested.baseBranch)) ?? suggested.baseBranch,
    setup: await answers.ask("Set up with", suggested.setup),
    validate: await answers.ask("Validate with", suggested.validate),
    test: await answers.ask("Test with", suggested.test),
    criticality:
      (await answers.ask("Criticality", suggested.criticality, (text) =>
        Criticality.safeParse(text).success ? undefined : `must be ${Criticality.options.join(", ")}`,
      )) ?? suggested.criticality,
  };
}

type Refusal = (text: string) => string | undefined;

function openAnswers(stdin: Input, { signal }: World, { raw, line, paint, shown }: Terminal) {
  const reader = createInterface({ input: stdin, terminal: false });
  const lines = reader[Symbol.asyncIterator]();
  const end = () => reader.close();
  signal.addEventListener("abort", end, { once: true });
  return {
    async ask(
      question: string,
      suggestion: string | undefined,
      refuse: Refusal = () => undefined,
    ): Promise<string | undefined> {
      for (;;) {
        raw(`${paint("bold", question)} ${paint("dim", `[${shown(suggestion ?? "none")}]`)} `);
        const { value, done } = await lines.next();
        if (done || signal.aborted) throw new FleetError("invalid-input", "It was broken off; nothing was written.");
        const text = value.trim();
        if (text === "") return suggestion;
        if (text === "-") return undefined;
        const refusal = refuse(text);
        if (refusal === undefined) return text;
        line(paint("yellow", `  ${refusal}`));
      }
    },
    [Symbol.dispose]() {
      signal.removeEventListener("abort", end);
      reader.close();
    },
  };
}

/** Even when two are at it, only --force writes over what is there. */
async function put(file: string, text: string, { force }: Options): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text, { flag: force ? "w" : "wx" });
}

async function putSchedule(file: string, text: string, of: { id: string; options: Options }): Promise<void> {
  const parsed = parseSchedule(text, of.id);
  if (!parsed.ok) throw new Error(`The schedule is not valid: ${JSON.stringify(parsed.problems)}`);
  await put(file, text, of.options);
}

function foundLine({ paint, shown }: Terminal, { language, packageManager, files }: Detected): string {
  if (files.length === 0) return paint("yellow", "Nothing here says how it is built or tested.");
  const what = language === "unknown" ? "Commands" : language;
  const by = packageManager === undefined ? "" : `, ${packageManager}`;
  return `Found: ${what}${by} ${paint("dim", `(${shown(files.join(", "))})`)}`;
}

const NAME_CELLS = 12;

function doneLines({ paint, mark, shown }: Terminal, chosen: Chosen, files: readonly string[]): string[] {
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
        `  ${paint("dim", name.padEnd(NAME_CELLS))}${value === undefined ? paint("dim", "none") : shown(value)}`,
    ),
    "",
    ...files.map((file) => `${mark(true)} Wrote ${shown(file)}`),
    paint("dim", "  Next: fleet up, and in another terminal: fleet plan --explain"),
  ];
}

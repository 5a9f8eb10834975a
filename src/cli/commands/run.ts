/** fleet run: runs pending orders and watches them; its subcommands show one run, and protect it from gc. */
import { asNumber, asString, type Command, type CommandOptions, NOT_VERIFIED, type Shell } from "../command.ts";
import type { BatchView, OrderView } from "../../views/orders/order.ts";
import type { RunView } from "../../views/orders/run.ts";

const evidenceView = async () => (await import("../../views/orders/run.ts")).EvidenceView;

const storyView = async () => (await import("../../views/orders/run.ts")).RunStory;

const startCommand: Command = {
  usage: "run",
  summary: "run pending orders, the most urgent first, and watch them finish",
  options: [
    ["--budget <n>", "how many, 1 to 1000 (default: 10)"],
    ["--order <order>", "this one"],
    ["--product <product>", "only this product's"],
    ["--dry-run", "show what would be done, and change nothing"],
    ["--no-wait", "do not wait; the orders continue on the server"],
  ],
  examples: [
    "fleet run --budget 3 --dry-run",
    "fleet run",
    "fleet run --order 3f9a1c2b",
    "fleet run --product shop --no-wait",
    "fleet run --json | jq '.orders[] | select(.status == \"failed\").reason'",
  ],

  async run(shell, _args, options) {
    const batch = await requestBatch(shell, options);
    return options["dryRun"]
      ? printDryRun(shell, batch)
      : followBatch(shell, batch, { wait: options["wait"] !== false });
  },
};

async function requestBatch({ api }: Shell, options: CommandOptions): Promise<BatchView> {
  const [{ parseInput }, { BatchView: View, OneRunRequest, RunRequest }] = await Promise.all([
    import("../../domain/errors.ts"),
    import("../../views/orders/order.ts"),
  ]);
  const order = asString(options["order"]);
  const dryRun = options["dryRun"] === true;
  if (order !== undefined) {
    return api.request(
      "POST /api/fleet/orders/:order/run",
      { path: { order }, body: parseInput(OneRunRequest, { dryRun }) },
      View,
    );
  }
  const fields = { budget: asNumber(options["budget"]), product: asString(options["product"]), dryRun };
  const given = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
  return api.request("POST /api/fleet/orders/run", { body: parseInput(RunRequest, given) }, View);
}

async function printDryRun({ terminal, json }: Shell, batch: BatchView): Promise<number> {
  if (json) {
    terminal.json(batch);
    return 0;
  }
  const { dryRunLines } = await import("../print/run-lines.ts");
  for (const line of dryRunLines(terminal, batch)) terminal.line(line);
  const summary = batch.orders.length > 0 ? "Dry run: nothing was changed." : NOTHING_PENDING;
  terminal.line(terminal.paint("dim", summary));
  return 0;
}

const NOTHING_PENDING = "No order is pending. Plan some: fleet plan";

/** Exits with 0 when all orders succeeded. */
export async function followBatch(
  shell: Shell,
  batch: BatchView,
  { wait }: { readonly wait: boolean },
): Promise<number> {
  const { terminal, json } = shell;
  const orders = batch.orders.map(({ order }) => order);
  if (!wait || batch.batchId === null) {
    await printStarted(shell, batch, orders);
    return 0;
  }
  const { waitForBatch } = await import("../wait/wait-for-batch.ts");
  if (!json) await printRefused(shell, batch);
  const ended = await waitForBatch(batch.batchId, shell);
  if (json) terminal.json({ batchId: batch.batchId, orders: ended, refused: batch.refused });
  return ended.every(({ status }) => status === "completed") ? 0 : 1;
}

async function printStarted(shell: Shell, batch: BatchView, orders: readonly OrderView[]): Promise<void> {
  const { terminal, json, world } = shell;
  if (json) {
    terminal.json({ batchId: batch.batchId, orders, refused: batch.refused });
    return;
  }
  await printRefused(shell, batch);
  if (orders.length === 0) {
    terminal.line(NOTHING_PENDING);
    return;
  }
  const { orderLines } = await import("../print/run-lines.ts");
  for (const line of orderLines(terminal, orders, world.clock())) terminal.line(line);
  terminal.line(terminal.paint("dim", "  They continue on the server. See: fleet orders"));
}

async function printRefused({ terminal }: Shell, batch: BatchView): Promise<void> {
  const { dryRunLines } = await import("../print/run-lines.ts");
  for (const line of dryRunLines(terminal, { ...batch, orders: [] })) terminal.line(line);
}

const showCommand: Command = {
  usage: "run show <run>",
  summary: "show one run: its result, its evidence, all attempts",
  options: [
    ["--verify", "rehash its evidence in the database and on disk; exit with 4 on a mismatch"],
    ["--log", "only the output of its commands"],
    ["--file <name>", "only this evidence file"],
  ],
  examples: [
    "fleet run show 3f9a1c2b --verify",
    "fleet run show 3f9a1c2b --log",
    "fleet run show 3f9a1c2b --file junit.xml",
  ],

  async run(shell, [run = ""], { verify, log, file }) {
    const name = log ? "output.log" : asString(file);
    if (name !== undefined) {
      await printEvidence(shell, run, name);
      return 0;
    }
    const params = { path: { run }, query: { verify: verify === true } };
    const story = await shell.api.request("GET /api/fleet/runs/:run", params, storyView);
    const { terminal, json, world } = shell;
    if (json) terminal.json(story);
    else {
      const { runStoryLines } = await import("../print/run-lines.ts");
      for (const line of runStoryLines(terminal, story, world.clock())) terminal.line(line);
    }
    return story.verified?.ok === false ? NOT_VERIFIED : 0;
  },
};

async function printEvidence({ api, terminal, json }: Shell, run: string, name: string): Promise<void> {
  const found = await api.request("GET /api/fleet/runs/:run/artifacts/:name", { path: { run, name } }, evidenceView);
  if (json) terminal.json(found);
  else if (found.text === null) terminal.note(`${name} is not text (${found.sizeBytes} bytes). Get it with --json.`);
  else {
    const { escapeForTerminal } = await import("../../domain/text/escape.ts");
    for (const line of found.text.replace(/\n$/, "").split("\n")) terminal.line(escapeForTerminal(line));
  }
}

const pinCommand: Command = {
  usage: "run pin <run>",
  summary: "pin a run, so that gc never collects it",
  options: [["--release <name>", "the release it belongs to"]],
  examples: ["fleet run pin 3f9a1c2b", "fleet run pin 3f9a1c2b --release 2.4.0"],

  async run(shell, [run = ""], { release }) {
    const params = { path: { run }, body: { release: asString(release) } };
    printPinned(shell, await shell.api.request("POST /api/fleet/runs/:run/pin", params, runView));
  },
};

const unpinCommand: Command = {
  usage: "run unpin <run>",
  summary: "unpin a run, so that gc may collect it",
  options: [],
  examples: ["fleet run unpin 3f9a1c2b"],

  async run(shell, [run = ""]) {
    printPinned(shell, await shell.api.request("POST /api/fleet/runs/:run/unpin", { path: { run } }, runView));
  },
};

const runView = async () => (await import("../../views/orders/run.ts")).RunView;

function printPinned({ terminal, json }: Shell, run: RunView): void {
  if (json) {
    terminal.json(run);
    return;
  }
  const retention = run.pinned
    ? `is pinned${run.release === null ? "" : ` as release ${terminal.sanitize(run.release)}`}`
    : "may be collected";
  terminal.line(`${terminal.paint("bold", run.shortId)} ${retention}`);
}

/** The command that the bare word runs comes first. */
export const runCommands: readonly Command[] = [startCommand, showCommand, pinCommand, unpinCommand];

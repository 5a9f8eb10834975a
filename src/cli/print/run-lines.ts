/** Orders and runs as lines: what would be done, progress, results, and what to type next. */
import type { BatchView, OrderView } from "../../views/orders/order.ts";
import type { RunStory, RunView } from "../../views/orders/run.ts";
import { renderTable, type Column } from "./table.ts";
import type { Terminal } from "./terminal.ts";
import { ago, plural, formatDuration, type Colour } from "./format.ts";

type GlyphStyle = readonly [glyph: string, colour: Colour];

const RUN_STYLES: Readonly<Record<OrderView["status"] | RunView["status"], GlyphStyle>> = {
  pending: ["○", "gray"],
  running: ["●", "cyan"],
  completed: ["✔", "green"],
  failed: ["✖", "red"],
  skipped: ["−", "gray"],
  in_progress: ["●", "cyan"],
  success: ["✔", "green"],
  cancelled: ["−", "gray"],
};

export function paintStatus({ paint }: Terminal, status: keyof typeof RUN_STYLES): string {
  const [glyph, colour] = RUN_STYLES[status];
  return paint(colour, `${glyph} ${status.replaceAll("_", " ")}`);
}

/** Each planned action, as `--dry-run` shows it. */
export function dryRunLines(terminal: Terminal, { orders, refused }: BatchView): string[] {
  const { paint, sanitize } = terminal;
  const lines: string[] = [];
  for (const [at, { order, workingCopy, commands, evidence }] of orders.entries()) {
    lines.push(
      `${at + 1}. ${paint("bold", sanitize(order.productId))} ${order.intent}  ${paint("dim", order.shortId)}`,
    );
    const facts: (readonly [string, string])[] = [
      ["copy", `${sanitize(workingCopy.repository)} at the head of ${sanitize(workingCopy.branch)}`],
      ...commands.map(({ step, argv }) => [step, sanitize(commandLine(argv))] as const),
      ...(commands.length === 0 ? [["done by", "Fleetwright itself, without a command"] as const] : []),
      ["budget", formatBudget(order)],
      ["stops", order.stopConditions.join(", ") || "the rest of the batch always continues"],
      ["evidence", evidence.map((name) => sanitize(name)).join(", ")],
    ];
    for (const [name, text] of facts) lines.push(`   ${paint("dim", name.padEnd(9))} ${text}`);
  }
  for (const { productId, reason } of refused) {
    lines.push(`${paint("yellow", "⏸")} ${sanitize(productId)} is skipped: ${sanitize(reason)}`);
  }
  return lines;
}

function commandLine(argv: readonly string[]): string {
  const [program, flag, line] = argv;
  if (program === "sh" && flag === "-c" && line !== undefined && argv.length === 3) return line;
  return argv.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : JSON.stringify(word))).join(" ");
}

function formatBudget({ budget }: OrderView): string {
  const parts = [plural(budget.max_actions, "command")];
  if (budget.max_seconds !== undefined) parts.push(formatDuration(budget.max_seconds * 1_000));
  if (budget.max_output_bytes !== undefined) parts.push(`${Math.round(budget.max_output_bytes / 1_024)} KiB of output`);
  if (budget.max_tokens !== undefined) parts.push(`${budget.max_tokens} tokens`);
  if (budget.max_cost_usd !== undefined) parts.push(`$${budget.max_cost_usd}`);
  return parts.join(" · ");
}

/** How an order ended, with the command that shows its run. */
export function endLine(terminal: Terminal, order: OrderView, run: RunView | undefined): string {
  const { paint, sanitize } = terminal;
  const took = order.result ? paint("dim", formatDuration(order.result.duration_seconds * 1_000)) : "";
  const why = order.reason === null ? "" : `  ${sanitize(order.reason)}`;
  const tests = run?.tests ? `  ${run.tests.passed}/${run.tests.total} tests` : "";
  const see = run ? paint("dim", `  fleet run show ${run.shortId}`) : "";
  return `${paintStatus(terminal, order.status)}  ${paint("bold", sanitize(order.productId))} ${order.intent}  ${took}${tests}${why}${see}`;
}

export function orderLines(terminal: Terminal, orders: readonly OrderView[], now: Date): string[] {
  const { paint, sanitize } = terminal;
  const columns: Column<OrderView>[] = [
    { head: "ORDER", drop: 0, cell: ({ shortId }) => paint("bold", shortId) },
    { head: "STATUS", drop: 0, cell: (order) => paintStatus(terminal, order.status) },
    { head: "PRODUCT", drop: 0, shrinkTo: 12, cell: ({ productId }) => sanitize(productId) },
    { head: "INTENT", drop: 0, cell: ({ intent }) => intent },
    { head: "PRIORITY", drop: 4, align: "right", cell: ({ priority }) => String(priority) },
    { head: "FROM", drop: 3, cell: ({ source }) => source },
    { head: "CHANGED", drop: 2, cell: ({ updatedAt }) => ago(updatedAt, now) },
    { head: "WHY", drop: 1, shrinkTo: 16, cell: (order) => sanitize(order.reason ?? orderReason(order)) },
  ];
  return renderTable(terminal, columns, orders);
}

function orderReason({ status, requestedAt, reasons }: OrderView): string {
  if (status === "pending" && requestedAt !== null) return "waits for its turn";
  return reasons[0] ?? "";
}

export function runLines(terminal: Terminal, runs: readonly RunView[], now: Date): string[] {
  const { paint, sanitize } = terminal;
  const columns: Column<RunView>[] = [
    { head: "RUN", drop: 0, cell: ({ shortId }) => paint("bold", shortId) },
    { head: "STATUS", drop: 0, cell: ({ status }) => paintStatus(terminal, status) },
    { head: "PRODUCT", drop: 0, shrinkTo: 12, cell: ({ productId }) => sanitize(productId) },
    { head: "INTENT", drop: 0, cell: ({ intent }) => intent },
    { head: "BEGAN", drop: 2, cell: ({ startedAt }) => ago(startedAt, now) },
    {
      head: "TOOK",
      drop: 3,
      align: "right",
      cell: ({ seconds }) => (seconds === null ? "" : formatDuration(seconds * 1_000)),
    },
    { head: "TESTS", drop: 4, cell: ({ tests }) => (tests ? `${tests.passed}/${tests.total}` : "") },
    { head: "PINNED", drop: 5, cell: ({ pinned, release }) => sanitize(release ?? (pinned ? "pinned" : "")) },
    { head: "MESSAGE", drop: 1, shrinkTo: 16, cell: ({ message }) => sanitize(message ?? "") },
  ];
  return renderTable(terminal, columns, runs);
}

export function runStoryLines(terminal: Terminal, story: RunStory, now: Date): string[] {
  const { run, artifacts, verified } = story;
  const { paint, sanitize } = terminal;
  const named = (name: string, text: string) => `  ${paint("dim", name.padEnd(9))} ${text}`;
  const evidence = artifacts.length > 0 ? ["", ...evidenceLines(terminal, artifacts)] : [];
  const location = run.dir !== null && run.collectedAt === null ? [paint("dim", `  in ${sanitize(run.dir)}`)] : [];
  return [
    `${paintStatus(terminal, run.status)}  ${paint("bold", run.shortId)}  ${sanitize(run.productId)} ${run.intent}`,
    ...runFacts(terminal, story, now).map(([name, text]) => named(name, text)),
    ...(run.tests?.failedNames ?? []).map((name) => `    ${paint("red", "✖")} ${sanitize(name)}`),
    ...evidence,
    ...location,
    ...(verified ? ["", ...proofLines(terminal, verified)] : []),
    paint("dim", `  Next: ${nextCommand({ ...run, isVerified: verified !== null })}`),
  ];
}

type Fact = readonly [name: string, text: string];

function runFacts(terminal: Terminal, { run, order, tries }: RunStory, now: Date): Fact[] {
  const { sanitize } = terminal;
  const known: (readonly [name: string, text: string | null])[] = [
    ["message", run.message === null ? null : sanitize(run.message)],
    ["began", `${ago(run.startedAt, now)} on ${sanitize(run.host ?? "an unknown host")}`],
    ["took", run.seconds === null ? null : formatDuration(run.seconds * 1_000)],
    ["commit", run.headSha],
    ["order", `${order.shortId}  ${paintStatus(terminal, order.status)}  ${formatBudget(order)}`],
    ...tries.filter(({ id }) => id !== run.id).map((other) => ["also", tryLine(terminal, other)] as const),
    ["retained", retainedAs(terminal, run)],
    ["tests", run.tests && formatTests(run.tests)],
  ];
  return known.flatMap(([name, text]) => (text === null ? [] : [[name, text] as const]));
}

function tryLine(terminal: Terminal, { shortId, status, message }: RunView): string {
  return `${shortId}  ${paintStatus(terminal, status)}  ${terminal.sanitize(message ?? "")}`;
}

function retainedAs({ sanitize }: Terminal, { pinned, release }: RunView): string | null {
  if (release !== null) return sanitize(`release ${release}`);
  return pinned ? "pinned" : null;
}

function formatTests({ total, passed, failed, errors, skipped }: NonNullable<RunView["tests"]>): string {
  const parts = [`${passed} of ${total} passed`];
  if (failed + errors > 0) parts.push(`${failed + errors} failed`);
  if (skipped > 0) parts.push(`${skipped} skipped`);
  return parts.join(", ");
}

function evidenceLines(terminal: Terminal, artifacts: RunStory["artifacts"]): string[] {
  const { paint, sanitize } = terminal;
  return renderTable(
    terminal,
    [
      { head: "  EVIDENCE", drop: 0, cell: ({ name }) => `  ${sanitize(name)}` },
      { head: "BYTES", drop: 1, align: "right", cell: ({ sizeBytes }) => String(sizeBytes) },
      { head: "SHA-256", drop: 2, shrinkTo: 12, cell: ({ sha256 }) => paint("dim", sha256) },
    ],
    artifacts,
  );
}

function proofLines(
  { mark, sanitize }: Terminal,
  { ok, files, disk, broken }: NonNullable<RunStory["verified"]>,
): string[] {
  const where = disk ? "in the database and on disk" : "in the database; its folder is not on the server's machine";
  const count = plural(files, "piece of evidence", "pieces of evidence");
  const summary = `  ${mark(ok)} ${count} ${ok ? `verified ${where}` : "checked: the hashes do not match"}`;
  return [summary, ...broken.map(({ name, where: place, why }) => `    ${sanitize(name)} (${place}): ${why}`)];
}

function nextCommand({ shortId, status, pinned, isVerified }: RunView & { readonly isVerified: boolean }): string {
  if (status === "in_progress" || status === "failed") return `fleet run show ${shortId} --log`;
  if (!isVerified) return `fleet run show ${shortId} --verify`;
  return pinned ? `fleet run unpin ${shortId}` : `fleet run pin ${shortId}`;
}

/** The intent regenerate_report: writes report.md about the product's runs, with outcomes, durations and evidence. */
import type { Product } from "../../../domain/product.ts";
import { parseRunSummary, type Run } from "../../../domain/orders/run.ts";
import { shortId } from "../../../domain/task/task.ts";
import { listArtifacts, type Artifact } from "../../../store/artifacts.ts";
import { listRuns } from "../../../store/runs.ts";
import type { ExecuteIntent } from "./intent.ts";

const MAX_RUNS = 100;
const MAX_SHOWN = 20;
const TREND_LENGTH = 10;

export const regenerateReport: ExecuteIntent = async ({ fleet, run, product, evidence }) => {
  const { runs, latest, artifacts } = await fleet.store.asSystem(async (tx) => {
    const found = await listRuns(tx, product.tenant, { productId: product.id, limit: MAX_RUNS });
    const ended = found.filter(({ id, endedAt }) => id !== run.id && endedAt !== null);
    const newest = ended.find(({ intent }) => intent === "validate" || intent === "test") ?? ended[0];
    return { runs: ended, latest: newest, artifacts: newest ? await listArtifacts(tx, newest.id) : [] };
  });
  await evidence.write(
    "report.md",
    renderReport(product, runs, { latest, artifacts, at: fleet.clock() }),
    "text/markdown",
  );
  return { ok: true, exitCode: null, message: `report of ${runs.length} runs`, summary: { runs: runs.length } };
};

interface ReportFacts {
  readonly latest: Run | undefined;
  readonly artifacts: readonly Artifact[];
  readonly at: Date;
}

export function renderReport(product: Product, runs: readonly Run[], { latest, artifacts, at }: ReportFacts): string {
  const lines = [
    `# ${escapeMarkdown(product.name ?? product.id)}`,
    "",
    `As of ${at.toISOString()}: ${runs.length} finished runs, newest first.`,
    "",
    "## By intent",
    "",
    "| Intent | Runs | Succeeded | Median seconds | Trend, oldest first |",
    "| --- | --- | --- | --- | --- |",
    ...byIntent(runs),
    "",
    "## Latest runs",
    "",
    "| Run | Intent | Started | Outcome | Seconds | Tests | Message |",
    "| --- | --- | --- | --- | --- | --- | --- |",
    ...runs.slice(0, MAX_SHOWN).map((run) => renderRow(run)),
  ];
  if (latest) {
    lines.push("", `## Evidence of ${shortId(latest.id)}`, "", "| Name | Bytes | SHA-256 |", "| --- | --- | --- |");
    lines.push(
      ...artifacts.map(({ name, sizeBytes, sha256 }) => `| ${escapeMarkdown(name)} | ${sizeBytes} | \`${sha256}\` |`),
    );
  }
  return `${lines.join("\n")}\n`;
}

function byIntent(runs: readonly Run[]): string[] {
  const intents = [...new Set(runs.map(({ intent }) => intent))].toSorted();
  return intents.map((intent) => {
    const own = runs.filter((run) => run.intent === intent);
    const succeeded = own.filter(({ status }) => status === "success").length;
    const seconds = own.map((run) => secondsOf(run)).toSorted((a, b) => a - b);
    const median = seconds[Math.floor(seconds.length / 2)] ?? 0;
    const trend = own
      .slice(0, TREND_LENGTH)
      .toReversed()
      .map(({ status }) => STATUS_MARKS[status]);
    return `| ${intent} | ${own.length} | ${Math.round((succeeded / own.length) * 100)} % | ${median.toFixed(1)} | ${trend.join(" ")} |`;
  });
}

const STATUS_MARKS: Readonly<Record<Run["status"], string>> = {
  success: "✔",
  failed: "✖",
  cancelled: "−",
  in_progress: "●",
};

function renderRow(run: Run): string {
  const { tests } = parseRunSummary(run.summary);
  const counted = tests ? `${tests.passed}/${tests.total}` : "";
  const cells = [shortId(run.id), run.intent, run.startedAt.toISOString(), `${STATUS_MARKS[run.status]} ${run.status}`];
  return `| ${[...cells, secondsOf(run).toFixed(1), counted, escapeMarkdown(run.message ?? "")].join(" | ")} |`;
}

function secondsOf({ startedAt, endedAt }: Run): number {
  return endedAt ? Math.max(0, endedAt.getTime() - startedAt.getTime()) / 1_000 : 0;
}

/** Messages of commands and people are untrusted text, so Markdown in them is escaped. */
function escapeMarkdown(untrusted: string): string {
  return untrusted
    .slice(0, 300)
    .replaceAll(/\s+/g, " ")
    .replaceAll(/[\\`*_{}[\]<>|#!~&]/g, (sign) => `\\${sign}`)
    .trim();
}

/** fleet drift: what differs from what is declared, since when, and what to type next; and accepting a difference. */
import { asString, type Command, NOT_VERIFIED, type Shell } from "../command.ts";
import type { DriftFinding, DriftReportDocument } from "../../domain/drift/report.ts";
import { ago, plural, formatDuration, type Colour } from "../print/format.ts";

const loadReportSchema = async () => (await import("../../domain/drift/report.ts")).DriftReportDocument;
const loadFindingSchema = async () => (await import("../../domain/drift/report.ts")).DriftFinding;

const listCommand: Command = {
  usage: "drift",
  summary: "list what differs from what is declared, recorded or accepted (read-only)",
  options: [
    ["--check", "scan now, and wait for the result"],
    ["--product <product>", "only one product's"],
    ["-a, --all", "also accepted and resolved findings"],
    ["--exit-code", "exit with 4 when something differs"],
  ],
  examples: ["fleet drift --check", "fleet drift --product shop", "fleet drift --json | jq '.findings[].what'"],

  async run(shell, _args, { check, product, all, exitCode }) {
    const query = { product: asString(product), all: all === true };
    const read = () => shell.api.request("GET /api/fleet/drift", { query }, loadReportSchema);
    const report = check === true ? await scanDrift(shell, asString(product), read) : await read();
    if (shell.json) shell.terminal.json(report);
    else for (const line of reportLines(shell, report)) shell.terminal.line(line);
    return exitCode && report.counts.open > 0 ? NOT_VERIFIED : 0;
  },
};

const acceptCommand: Command = {
  usage: "drift accept <finding>",
  summary: "accept the current value as the new baseline",
  options: [["--reason <reason>", "why; stored with your name"]],
  examples: ['fleet drift accept 1f2e3d4c --reason "libraries were updated on purpose"'],

  async run({ api, terminal, json }, [finding = ""], { reason }) {
    const params = { path: { finding }, body: { reason: asString(reason) ?? "" } };
    const accepted = await api.request("POST /api/fleet/drift/:finding/accept", params, loadFindingSchema);
    if (json) {
      terminal.json(accepted);
      return;
    }
    const { sanitize } = terminal;
    const value = accepted.actual === null ? "Its absence" : sanitize(accepted.actual);
    terminal.line(`${terminal.mark(true)} ${sanitize(accepted.subject)} ${sanitize(accepted.what)}`);
    terminal.line(`  ${value} is the new baseline. List the remaining findings: fleet drift`);
  },
};

export const driftCommands: readonly Command[] = [listCommand, acceptCommand];

async function scanDrift(
  shell: Shell,
  product: string | undefined,
  read: () => Promise<DriftReportDocument>,
): Promise<DriftReportDocument> {
  const { scanAndRead } = await import("../wait/wait-for-scan.ts");
  return scanAndRead(shell, { route: "POST /api/fleet/drift/check", product }, read);
}

const COLOURS: Readonly<Record<DriftFinding["severity"], Colour>> = { high: "red", medium: "yellow", low: "blue" };

function reportLines({ terminal, world }: Shell, report: DriftReportDocument): string[] {
  const now = world.clock();
  const { counts, findings, looked_at: lookedAt, not_checked: notChecked } = report;
  const counted = (["high", "medium", "low"] as const).flatMap((severity) =>
    counts[severity] > 0 ? [terminal.paint(COLOURS[severity], `${counts[severity]} ${severity}`)] : [],
  );
  const total = counts.open === 0 ? "Nothing differs" : `${plural(counts.open, "finding")} (${counted.join(", ")})`;
  const when =
    lookedAt === null ? "not everything was scanned yet: fleet drift --check" : `scanned ${ago(lookedAt, now)}`;
  const lines = [`${terminal.mark(counts.open === 0)} ${total}; ${when}`];
  for (const finding of findings) lines.push("", ...findingLines(terminal, finding, now));
  if (notChecked.length > 0) lines.push("", terminal.paint("dim", "Not scanned:"));
  for (const { what, why } of notChecked) {
    lines.push(terminal.paint("dim", `  ○ ${terminal.sanitize(what)}: ${terminal.sanitize(why)}`));
  }
  if (counts.open > 0) lines.push("", "Accept a finding as the new baseline: fleet drift accept <finding> --reason …");
  return lines;
}

function findingLines({ paint, sanitize }: Shell["terminal"], finding: DriftFinding, now: Date): string[] {
  const { severity, subject, what, since, status, declared, actual, command, accepted } = finding;
  const colour = status === "open" ? COLOURS[severity] : "gray";
  const age = status === "open" ? `for ${formatDuration(now.getTime() - Date.parse(since))}` : status;
  const title = `${paint("bold", sanitize(subject))} ${sanitize(what)}`;
  const lines = [`${paint(colour, severity.padEnd(6))} ${finding.short_id}  ${title}  ${paint("dim", age)}`];
  lines.push(`       declared  ${declared === null ? paint("dim", "nothing") : sanitize(declared)}`);
  lines.push(`       actual    ${actual === null ? paint("dim", "missing") : sanitize(actual)}`);
  if (accepted)
    lines.push(`       accepted  by ${sanitize(accepted.by)}, ${ago(accepted.at, now)}: ${sanitize(accepted.reason)}`);
  else if (command !== null && status === "open") lines.push(`       ${paint("dim", "$")} ${sanitize(command)}`);
  return lines;
}

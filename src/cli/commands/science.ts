/** fleet science: shows the research dossiers as a board: their status and age, and which are handed off, stuck or unreadable. */
import { asString, type Command, type Shell } from "../command.ts";
import type { IndexedDossier, ScienceIndex } from "../../domain/science/science-index.ts";
import type { DossierStatus } from "../../domain/science/science.ts";
import { renderTable } from "../print/table.ts";
import { ago, plural, formatDuration, type Colour } from "../print/format.ts";

const indexView = async () => (await import("../../domain/science/science-index.ts")).ScienceIndex;

export const scienceCommand: Command = {
  usage: "science",
  summary: "show the research dossiers of all products, and their progress",
  options: [
    ["--status <status>", "only proposed, running, validated, rejected or handed_off"],
    ["--refresh", "read them again, and wait for the result"],
  ],
  examples: [
    "fleet science",
    "fleet science --status validated",
    "fleet science --refresh --json > science_index.json",
  ],

  async run(shell, _args, { status, refresh }) {
    const query = { status: asString(status) };
    const read = () => shell.api.request("GET /api/fleet/science", { query }, indexView);
    const index = refresh === true ? await refreshIndex(shell, read) : await read();
    if (shell.json) shell.terminal.json(index);
    else for (const line of boardLines(shell, index)) shell.terminal.line(line);
  },
};

async function refreshIndex(shell: Shell, read: () => Promise<ScienceIndex>): Promise<ScienceIndex> {
  const { scanAndRead } = await import("../wait/wait-for-scan.ts");
  return scanAndRead(shell, { route: "POST /api/fleet/science/refresh" }, read);
}

const COLOURS: Readonly<Record<DossierStatus, Colour>> = {
  proposed: "gray",
  running: "cyan",
  validated: "green",
  rejected: "yellow",
  handed_off: "blue",
};
const STATUSES = ["proposed", "running", "validated", "rejected", "handed_off"] as const;

function boardLines({ terminal, world }: Shell, index: ScienceIndex): string[] {
  const now = world.clock();
  const { counts, dossiers, errors, looked_at: lookedAt, not_checked: notChecked } = index;
  const total = STATUSES.map((status) => `${counts[status]} ${statusLabel(status)}`).join(", ");
  const when =
    lookedAt === null ? "not every product was read yet: fleet science --refresh" : `read ${ago(lookedAt, now)}`;
  const lines = [`${total}; ${when}`];
  for (const status of STATUSES) {
    const column = dossiers.filter((dossier) => dossier.status === status);
    if (column.length === 0) continue;
    lines.push(
      "",
      terminal.paint(COLOURS[status], `${statusLabel(status)} (${column.length})`),
      ...columnLines(terminal, column, now),
    );
  }
  for (const { product_id: product, path, problems } of errors) {
    lines.push("", terminal.paint("red", `✖ ${terminal.sanitize(product)} ${terminal.sanitize(path)}`));
    for (const { line, message } of problems) {
      lines.push(terminal.paint("red", `    ${line === null ? "" : `line ${line}: `}${terminal.sanitize(message)}`));
    }
  }
  for (const { what, why } of notChecked) {
    lines.push("", terminal.paint("dim", `○ not read: ${terminal.sanitize(what)}: ${terminal.sanitize(why)}`));
  }
  const stuck = dossiers.filter((dossier) => dossier.stuck !== null).length;
  if (stuck > 0) lines.push("", `${plural(stuck, "dossier")} stuck. Plan a design for the validated ones: fleet plan`);
  return lines;
}

function statusLabel(status: DossierStatus): string {
  return status.replace("_", " ");
}

function columnLines(terminal: Shell["terminal"], column: readonly IndexedDossier[], now: Date): string[] {
  const { sanitize, paint } = terminal;
  return renderTable<IndexedDossier>(
    terminal,
    [
      { head: "  DOSSIER", drop: 0, cell: ({ dossier_id: id }) => `  ${sanitize(id)}` },
      { head: "PRODUCT", drop: 2, cell: ({ product_id: product }) => sanitize(product) },
      { head: "TOPIC", drop: 0, shrinkTo: 16, cell: ({ topic }) => sanitize(topic) },
      { head: "OWNER", drop: 3, cell: ({ owner }) => sanitize(owner) },
      { head: "AGE", drop: 4, align: "right", cell: ({ age_days: days }) => `${days}d` },
      {
        head: "SINCE",
        drop: 1,
        align: "right",
        cell: (one) => formatDuration(now.getTime() - Date.parse(one.status_since)),
      },
      { head: "HANDED TO", drop: 0, shrinkTo: 12, cell: (one) => handedTo(one, sanitize) },
      {
        head: "",
        drop: 0,
        shrinkTo: 12,
        cell: ({ stuck }) => (stuck === null ? "" : paint("yellow", `! ${sanitize(stuck)}`)),
      },
    ],
    column,
  );
}

/** The command that shows it. */
function handedTo({ design }: IndexedDossier, shown: (text: string) => string): string {
  return design === null ? "" : `${shown(design.artifact)} of run ${design.run_id.slice(-8)}`;
}

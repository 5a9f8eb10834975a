/** fleet audit list and export: list who did what, and export it as JSON lines to be stored and checked elsewhere. */
import { open } from "node:fs/promises";
import type { AuditEntryView } from "../../views/audit.ts";
import { asNumber, asString, type Command, type Shell } from "../command.ts";
import { ago, plural } from "../print/format.ts";

const PAGE_SIZE = 1_000;

const loadPageSchema = async () =>
  (await import("../../views/page.ts")).pageOf((await import("../../views/audit.ts")).AuditEntryView);

export const listAuditCommand: Command = {
  usage: "audit list",
  summary: "list who did what, newest first: your own actions and tasks; the whole tenant's for role admin",
  options: [
    ["--task <task>", "only one task's"],
    ["--operator <operator>", "only actions by one operator or on their tasks (role admin)"],
    ["--act <act>", "only one kind of action, or a prefix of it: `key` finds key.rotated"],
    ["--since <time>", "only from this time on: 2026-11-20, or 2026-11-20T12:00:00Z"],
    ["--limit <n>", "how many entries (default: 50)"],
    ["--all", "every tenant (role admin)"],
  ],
  examples: ["fleet audit list", "fleet audit list --act estop --since 2026-11-01 --all", "fleet audit list --json"],

  async run({ api, terminal, json, world }, _args, options) {
    const wanted = asNumber(options["limit"]) ?? 50;
    const items: AuditEntryView[] = [];
    let cursor: string | undefined;
    do {
      const query = {
        task: asString(options["task"]),
        operator: asString(options["operator"]),
        act: asString(options["act"]),
        since: parseTime(options["since"]),
        all: options["all"] === true,
        // Text that is not a number is passed on, because the server's error names the field.
        limit: Number.isNaN(wanted) ? String(options["limit"]) : Math.min(wanted - items.length, PAGE_SIZE),
        cursor,
      };
      const page = await api.request("GET /api/fleet/audit", { query }, loadPageSchema);
      items.push(...page.items);
      cursor = page.nextCursor ?? undefined;
    } while (cursor !== undefined && items.length < wanted && !world.signal.aborted);
    if (json) {
      terminal.json({ items, nextCursor: cursor ?? null });
      return;
    }
    const now = world.clock();
    for (const entry of items) terminal.line(entryLine(terminal, entry, now));
    if (items.length === 0) terminal.note("No matching audit entries.");
  },
};

export const exportAuditCommand: Command = {
  usage: "audit export",
  summary: "export all entries as JSON lines, chain by chain; check them with: fleet audit verify --file",
  options: [
    ["--out <file>", "write to a file that only you can read; an unfinished export is resumed"],
    ["--task <task>", "only one task's"],
    ["--since <time>", "only from this time on: 2026-11-20, or 2026-11-20T12:00:00Z"],
    ["--until <time>", "only before this time"],
    ["--all", "every tenant (role admin)"],
  ],
  examples: [
    "fleet audit export --out audit.jsonl",
    "fleet audit export --all --since 2026-11-01 --until 2026-12-01 --out november.jsonl",
    "fleet audit export --task 3f9a1c2b | jq -r '.action'",
  ],

  async run(shell, _args, options) {
    const query = {
      task: asString(options["task"]),
      since: parseTime(options["since"]),
      until: parseTime(options["until"]),
      all: options["all"] === true,
    };
    const out = asString(options["out"]);
    if (out === undefined) {
      await exportEntries(shell, query, { write: async (text) => shell.terminal.raw(text) });
      return;
    }
    const file = await open(out, "a", 0o600);
    try {
      const { resumeExport } = await import("../audit-file.ts");
      const progress = await resumeExport(out);
      if (progress.isComplete) {
        const { FleetError } = await import("../../domain/errors.ts");
        throw new FleetError("invalid-input", `${out} is already a complete export. Choose another file.`);
      }
      if (progress.entries > 0)
        shell.terminal.note(`Resuming ${out} after ${plural(progress.entries, "entry", "entries")}.`);
      const { entries, chains } = await exportEntries(shell, query, {
        write: (text) => file.appendFile(text),
        ...progress,
      });
      await file.sync();
      if (shell.json) shell.terminal.json({ file: out, entries, chains });
      else {
        shell.terminal.line(
          `${shell.terminal.mark(true)} ${plural(entries, "entry", "entries")} of ${plural(chains, "chain")} in ${out}`,
        );
      }
    } finally {
      await file.close();
    }
  },
};

interface Sink {
  readonly write: (text: string) => Promise<void>;
  readonly entries?: number;
  readonly chains?: number;
  readonly last?: AuditEntryView | undefined;
}

/** Reads page by page, so that a year of entries does not fill the memory. */
async function exportEntries(
  { api, world }: Shell,
  query: Readonly<Record<string, string | boolean | undefined>>,
  sink: Sink,
): Promise<{ entries: number; chains: number }> {
  let { entries = 0, chains = 0, last } = sink;
  let cursor = last && `${last.seq}@${last.chain}`;
  do {
    world.signal.throwIfAborted();
    const params = { query: { ...query, limit: PAGE_SIZE, cursor } };
    const page = await api.request("GET /api/fleet/audit/export", params, loadPageSchema);
    for (const entry of page.items) {
      chains += entry.chain === last?.chain ? 0 : 1;
      last = entry;
    }
    entries += page.items.length;
    if (page.items.length > 0) await sink.write(page.items.map((entry) => `${JSON.stringify(entry)}\n`).join(""));
    cursor = page.nextCursor ?? undefined;
  } while (cursor !== undefined);
  await sink.write(`${JSON.stringify({ end: { entries, chains, at: world.clock().toISOString() } })}\n`);
  return { entries, chains };
}

function entryLine({ paint, sanitize }: Shell["terminal"], entry: AuditEntryView, now: Date): string {
  const about = entry.task_id === null ? "" : `  ${paint("bold", entry.task_id.replaceAll("-", "").slice(-8))}`;
  const facts = sanitize(entry.detail).slice(0, 160);
  return `${paint("dim", ago(entry.at, now).padStart(10))}  ${sanitize(entry.actor)}  ${sanitize(entry.action)}${about}  ${paint("dim", facts)}`;
}

/** A date becomes midnight UTC; other text is passed on, because the server's error names the field. */
function parseTime(value: unknown): string | undefined {
  const text = asString(value);
  return text !== undefined && /^\d{4}-\d{2}-\d{2}$/.test(text) ? `${text}T00:00:00Z` : text;
}

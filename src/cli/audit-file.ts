/** An export of the audit log in a file: checked line by line without the house, and gone on with where it stopped. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { truncate } from "node:fs/promises";
import { verifyLinks } from "../domain/audit/audit.ts";
import { AuditEntryView, AuditExportEnd } from "../views/audit.ts";

export interface FileProof {
  readonly ok: boolean;
  readonly chains: number;
  readonly entries: number;
  /** The first broken entry of each broken chain; `line` is where it stands in the file. */
  readonly broken: readonly {
    readonly chain: string;
    readonly seq: number;
    readonly line: number;
    readonly why: string;
  }[];
  /** What is wrong with the file as a whole; null when nothing is. */
  readonly file: string | null;
}

const MAX_BROKEN = 1_000;
const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

/** Remembers one chain at a time: an export has them one after the other, in the order of their names. */
export async function verifyFile(path: string): Promise<FileProof> {
  const check = new FileCheck();
  let line = 0;
  let file: string | undefined;
  for await (const { text } of readLines(path)) {
    line += 1;
    file = check.checkLine(parseLine(text), line);
    if (file !== undefined) break;
  }
  file ??= check.incompleteReason();
  const { broken, chains, entries } = check;
  return { ok: broken.length === 0 && file === undefined, chains, entries, broken, file: file ?? null };
}

/** How far a file has been checked. */
class FileCheck {
  readonly broken: FileProof["broken"][number][] = [];
  chains = 0;
  entries = 0;
  #current: { chain: string; seq: number; hash: string; isBroken: boolean } | undefined;
  #end: AuditExportEnd["end"] | undefined;

  /** Says why the file as a whole is no export, when it is none. */
  checkLine(parsed: AuditEntryView | AuditExportEnd | undefined, line: number): string | undefined {
    if (this.#end) return `line ${line} comes after the last line of the export`;
    if (!parsed) return `line ${line} is no entry of an audit log`;
    if ("end" in parsed) {
      this.#end = parsed.end;
      return undefined;
    }
    if (this.#current && parsed.chain < this.#current.chain) {
      return `line ${line} goes back to ${parsed.chain}: an export has its chains in order, each once`;
    }
    this.#follow(parsed, line);
    return undefined;
  }

  #follow(entry: AuditEntryView, line: number): void {
    const { chain, seq, at, actor, action, detail, hash } = entry;
    this.entries += 1;
    if (this.#current?.chain !== chain) {
      this.chains += 1;
      // From its first entry, or, of an export of a certain time, from where that begins.
      this.#current = { chain, seq: seq - 1, hash: seq === 1 ? "" : entry.prev_hash, isBroken: false };
    }
    if (this.#current.isBroken) return;
    const before = this.#current.hash;
    const next = verifyLinks([{ seq, atText: at, actor, action, detailText: detail, hash }], this.#current, sha256);
    const why = next.broken?.why ?? (entry.prev_hash === before ? undefined : "it says that it follows another entry");
    if (why !== undefined && this.broken.length < MAX_BROKEN)
      this.broken.push({ chain, seq: next.broken?.seq ?? seq, line, why });
    this.#current = { chain, seq: next.seq, hash: next.hash, isBroken: why !== undefined };
  }

  incompleteReason(): string | undefined {
    if (!this.#end) return "its last line is missing: it was cut, or never finished. Go on: fleet audit export --out";
    const { entries, chains } = this.#end;
    if (entries === this.entries && chains === this.chains) return undefined;
    return `it ended with ${entries} entries of ${chains} chains; there are ${this.entries} of ${this.chains}`;
  }
}

function parseLine(text: string): AuditEntryView | AuditExportEnd | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return AuditEntryView.safeParse(value).data ?? AuditExportEnd.safeParse(value).data;
  } catch {
    return undefined;
  }
}

export interface ExportProgress {
  readonly entries: number;
  readonly chains: number;
  readonly last: AuditEntryView | undefined;
  readonly isComplete: boolean;
}

/** What an earlier, broken-off export left in the file; half a line at its end is taken off. */
export async function resumeExport(path: string): Promise<ExportProgress> {
  let progress: ExportProgress = { entries: 0, chains: 0, last: undefined, isComplete: false };
  let validBytes = 0;
  for await (const { text, end } of readLines(path)) {
    const parsed = end === undefined ? undefined : parseLine(text);
    if (!parsed || end === undefined) break;
    validBytes = end;
    if ("end" in parsed) return { ...progress, isComplete: true };
    const isNew = parsed.chain !== progress.last?.chain;
    progress = {
      entries: progress.entries + 1,
      chains: progress.chains + (isNew ? 1 : 0),
      last: parsed,
      isComplete: false,
    };
  }
  await truncate(path, validBytes);
  return progress;
}

/** More than any entry has; what has no line feed for longer is no export. */
const MAX_LINE_BYTES = 8 * 1024 * 1024;

/** `end`: the byte behind its line feed; undefined when it has none. */
async function* readLines(path: string): AsyncGenerator<{ text: string; end: number | undefined }> {
  let rest = Buffer.alloc(0);
  let offset = 0;
  for await (const chunk of createReadStream(path)) {
    rest = Buffer.concat([rest, Buffer.from(chunk)]);
    let from = 0;
    for (let newline = rest.indexOf(10); newline >= 0; newline = rest.indexOf(10, from)) {
      yield { text: rest.toString("utf8", from, newline), end: offset + newline + 1 };
      from = newline + 1;
    }
    offset += from;
    rest = rest.subarray(from);
    if (rest.length > MAX_LINE_BYTES)
      throw new Error(`${path} has a line of more than ${MAX_LINE_BYTES} bytes: no export.`);
  }
  if (rest.length > 0) yield { text: rest.toString("utf8"), end: undefined };
}

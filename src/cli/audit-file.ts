/** Checks an exported audit log file line by line without a server, and resumes an export where it stopped. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { truncate } from "node:fs/promises";
import { verifyLinks } from "../domain/audit/audit.ts";
import { AuditEntryView, AuditExportEnd } from "../views/audit.ts";

export interface FileProof {
  readonly ok: boolean;
  readonly chains: number;
  readonly entries: number;
  /** The first broken entry of each broken chain; `line` is its line in the file. */
  readonly broken: readonly {
    readonly chain: string;
    readonly seq: number;
    readonly line: number;
    readonly why: string;
  }[];
  /** What is wrong with the file as a whole; null when it is complete. */
  readonly file: string | null;
}

const MAX_BROKEN = 1_000;
const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

/** Needs only the current chain in memory, because an export lists the chains one after the other, sorted by name. */
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

  /** Returns why the file as a whole is not a valid export; null when it is valid. */
  checkLine(parsed: AuditEntryView | AuditExportEnd | undefined, line: number): string | undefined {
    if (this.#end) return `line ${line} comes after the last line of the export`;
    if (!parsed) return `line ${line} is not an audit log entry`;
    if ("end" in parsed) {
      this.#end = parsed.end;
      return undefined;
    }
    if (this.#current && parsed.chain < this.#current.chain) {
      return `line ${line} returns to chain ${parsed.chain}: an export lists each chain once, in order`;
    }
    this.#follow(parsed, line);
    return undefined;
  }

  #follow(entry: AuditEntryView, line: number): void {
    const { chain, seq, at, actor, action, detail, hash } = entry;
    this.entries += 1;
    if (this.#current?.chain !== chain) {
      this.chains += 1;
      // An export of a time range starts in the middle of a chain, so its first entry has no predecessor to compare.
      this.#current = { chain, seq: seq - 1, hash: seq === 1 ? "" : entry.prev_hash, isBroken: false };
    }
    if (this.#current.isBroken) return;
    const before = this.#current.hash;
    const next = verifyLinks([{ seq, atText: at, actor, action, detailText: detail, hash }], this.#current, sha256);
    const why =
      next.broken?.why ?? (entry.prev_hash === before ? undefined : "its prev_hash does not match the entry before it");
    if (why !== undefined && this.broken.length < MAX_BROKEN)
      this.broken.push({ chain, seq: next.broken?.seq ?? seq, line, why });
    this.#current = { chain, seq: next.seq, hash: next.hash, isBroken: why !== undefined };
  }

  incompleteReason(): string | undefined {
    if (!this.#end)
      return "its last line is missing: the file was truncated or the export did not finish. Resume it: fleet audit export --out";
    const { entries, chains } = this.#end;
    if (entries === this.entries && chains === this.chains) return undefined;
    return `its last line reports ${entries} entries in ${chains} chains, but the file has ${this.entries} in ${this.chains}`;
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

/** What an interrupted export left in the file; an incomplete last line is cut off. */
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

/** No entry is larger than this, so a longer line means that the file is not an export. */
const MAX_LINE_BYTES = 8 * 1024 * 1024;

/** `end` is the offset after its line feed; undefined when there is no line feed. */
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
      throw new Error(`${path} has a line of more than ${MAX_LINE_BYTES} bytes, so it is not an export.`);
  }
  if (rest.length > 0) yield { text: rest.toString("utf8"), end: undefined };
}

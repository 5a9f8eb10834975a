/** Finds and parses the research dossiers of a repository at one commit. Files that cannot be parsed are reported with line and reason. */
import { isMap, LineCounter, parseDocument } from "yaml";
import { inBatches } from "../domain/batches.ts";
import { splitFrontMatter } from "../domain/science/front-matter.ts";
import {
  parseDossierHead,
  type DossierHead,
  type DossierProblem,
  type ParsedDossier,
} from "../domain/science/science.ts";
import { lastChanges, listFiles, readText, type FileEntry, type CommitRef } from "./repository.ts";
import { messageOf } from "../domain/errors.ts";

export interface FoundDossier {
  readonly path: string;
  readonly head: DossierHead | null;
  readonly problems: readonly DossierProblem[];
  /** When the file last changed. */
  readonly changedAt: Date | null;
}

export const SCIENCE_FOLDER = "docs/science";
const MAX_FILES = 500;
const MAX_BYTES = 262_144;
const CONCURRENCY = 4;
/** Of one file: enough to fix it. */
const MAX_PROBLEMS = 8;

export interface DossierSurvey {
  readonly dossiers: readonly FoundDossier[];
  /** How many dossiers were not read because of the limit. */
  readonly leftOut: number;
}

export async function surveyDossiers(commit: CommitRef): Promise<DossierSurvey> {
  const all = (await listFiles(commit, { folder: SCIENCE_FOLDER, deep: true })).filter(({ path }) => isDossier(path));
  const entries = all.slice(0, MAX_FILES);
  const changes = entries.length > 0 ? await lastChanges(commit, SCIENCE_FOLDER) : new Map<string, Date>();
  const dossiers = await inBatches(entries, CONCURRENCY, (entry) => readDossierFile(commit, entry, changes));
  return { dossiers: markDuplicates(dossiers), leftOut: all.length - entries.length };
}

/** A README describes the folder and is not a dossier. */
function isDossier(path: string): boolean {
  return /\.md$/i.test(path) && !/(?:^|\/)readme\.md$/i.test(path);
}

async function readDossierFile(
  commit: CommitRef,
  entry: FileEntry,
  changes: ReadonlyMap<string, Date>,
): Promise<FoundDossier> {
  const { path } = entry;
  const text = await readText(commit, entry, MAX_BYTES);
  const read: ParsedDossier =
    text === undefined
      ? { ok: false, problems: [{ line: null, message: `is larger than ${MAX_BYTES} bytes` }] }
      : parseDossier(text);
  const changedAt = changes.get(path) ?? null;
  if (read.ok) return { path, changedAt, head: read.head, problems: [] };
  return { path, changedAt, head: null, problems: read.problems.slice(0, MAX_PROBLEMS) };
}

/** Parses a dossier. It never throws. */
export function parseDossier(text: string): ParsedDossier {
  const split = splitFrontMatter(text);
  if (!split.ok) return { ok: false, problems: [split.problem] };
  const lines = new LineCounter();
  const document = parseDocument(split.yaml, { lineCounter: lines, stringKeys: true, logLevel: "silent" });
  const lineAt = (offset: number) => lines.linePos(offset).line + split.firstLine - 1;
  const problems = document.errors.map(({ pos, message }) => ({ line: lineAt(pos[0]), message: firstLine(message) }));
  if (problems.length > 0) return { ok: false, problems };
  try {
    const keyLines = new Map<string, number>();
    for (const { key } of isMap(document.contents) ? document.contents.items : []) {
      if (hasRange(key)) keyLines.set(String(key.value), lineAt(key.range[0]));
    }
    // A few aliases are fine, but a document that expands to millions of values is not.
    return parseDossierHead(document.toJS({ maxAliasCount: 16 }), (key) => keyLines.get(key) ?? split.firstLine);
  } catch (error) {
    const message = firstLine(messageOf(error));
    return { ok: false, problems: [{ line: split.firstLine, message }] };
  }
}

function hasRange(key: unknown): key is { value: unknown; range: readonly [number, number, number] } {
  return typeof key === "object" && key !== null && "range" in key && Array.isArray(key.range) && "value" in key;
}

/** Takes the first line of a YAML message, because an excerpt of the file follows it. */
function firstLine(message: string): string {
  return (message.split("\n")[0] ?? "").replace(/ at line \d+, column \d+:?$/, "").slice(0, 300);
}

/** Marks a dossier as invalid when an earlier file (by path) has the same id. */
function markDuplicates(dossiers: readonly FoundDossier[]): FoundDossier[] {
  const first = new Map<string, string>();
  return dossiers.map((dossier) => {
    const id = dossier.head?.dossier_id;
    if (id === undefined) return dossier;
    const other = first.get(id);
    if (other === undefined) {
      first.set(id, dossier.path);
      return dossier;
    }
    return {
      ...dossier,
      head: null,
      problems: [{ line: null, message: `dossier_id ${id} is already used by ${other}` }],
    };
  });
}

/** Splits unified diffs into files and hunks, and truncates them with a note at every cut. */

export interface DiffFile {
  readonly path: string;
  readonly added: number;
  readonly removed: number;
  /** The text from `diff --git` to the next one, including the line break. */
  readonly text: string;
}

export interface DiffCaps {
  readonly maxPerFile: number;
  readonly maxTotal: number;
}

export interface TruncatedDiff {
  readonly text: string;
  readonly files: readonly {
    readonly path: string;
    readonly added: number;
    readonly removed: number;
    readonly cut: "whole" | "part" | "left_out";
  }[];
  readonly truncated: boolean;
}

export function splitDiff(diff: string): DiffFile[] {
  return diff
    .split(/^(?=diff --git )/m)
    .filter((text) => text.startsWith("diff --git "))
    .map((text) => ({
      path: parseDiffPath(text),
      added: count(text, /^\+(?!\+\+ )/gm),
      removed: count(text, /^-(?!-- )/gm),
      text,
    }));
}

/** Truncates each file separately for a reviewer, so that one generated file cannot crowd out the others, and notes what it left out. */
export function truncateDiffByFile(diff: string, { maxPerFile, maxTotal }: DiffCaps): TruncatedDiff {
  const parts: string[] = [];
  const files: TruncatedDiff["files"][number][] = [];
  let left = maxTotal;
  for (const { path, added, removed, text } of splitDiff(diff)) {
    const maxChars = Math.min(maxPerFile, left);
    const shown = truncateLines(text, maxChars);
    const cut = shown === text ? "whole" : shown === "" ? "left_out" : "part";
    if (cut !== "left_out") parts.push(shown);
    if (cut !== "whole")
      parts.push(`[… ${path}: ${text.length - shown.length} of ${text.length} characters left out …]\n`);
    files.push({ path, added, removed, cut });
    left -= shown.length;
  }
  return { text: parts.join(""), files, truncated: files.some(({ cut }) => cut !== "whole") };
}

/** Returns whole hunks for a retry prompt, the last one first, within `maxChars` characters. */
export function lastHunks(diff: string, maxChars: number): string {
  const kept: string[] = [];
  let left = maxChars - OMITTED_NOTE.length;
  const hunks = splitDiff(diff).flatMap(splitHunks).toReversed();
  for (const hunk of hunks) {
    if (hunk.length > left) break;
    kept.push(hunk);
    left -= hunk.length;
  }
  if (kept.length === hunks.length) return kept.join("");
  if (kept.length === 0)
    return `${truncateLines(hunks[0] ?? "", Math.max(0, left))}${OMITTED_NOTE}`.slice(0, Math.max(0, maxChars));
  return `${kept.join("")}${OMITTED_NOTE}`;
}

const OMITTED_NOTE = "[… earlier hunks left out …]\n";

/** Puts a line with the file's name above each hunk. A file without hunks (binary, mode change) counts as one hunk. */
function splitHunks({ path, text }: DiffFile): string[] {
  const [head = "", ...hunks] = text.split(/^(?=@@ )/m);
  return hunks.length === 0 ? [head] : hunks.map((hunk) => `--- ${path}\n${hunk}`);
}

/** Returns at most `maxChars` characters, ending with a complete line. */
function truncateLines(text: string, maxChars: number): string {
  if (text.length <= maxChars) return text;
  return text.slice(0, text.lastIndexOf("\n", Math.max(0, maxChars - 1)) + 1);
}

/** Returns the new name, or the old one of a deleted file. Without either (binary, mode change), the header has the name. */
function parseDiffPath(text: string): string {
  const names = [/^\+\+\+ "?b\/(.+?)"?\t?$/m, /^--- "?a\/(.+?)"?\t?$/m, /^diff --git "?a\/.+? "?b\/(.+?)"?$/m];
  for (const name of names) {
    const found = name.exec(text)?.[1];
    if (found !== undefined) return found;
  }
  return "?";
}

function count(text: string, pattern: RegExp): number {
  return text.match(pattern)?.length ?? 0;
}

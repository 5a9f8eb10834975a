/** Extracts front matter, the lines between two fences at the start of a Markdown file. Parsing it as YAML is left to an adapter. */
import type { DossierProblem } from "./science.ts";

export type FrontMatter =
  | { readonly ok: true; readonly yaml: string; readonly firstLine: number }
  | { readonly ok: false; readonly problem: DossierProblem };

/** Front matter is at most a page of keys; anything longer is text whose closing fence is missing. */
const MAX_LINES = 300;
const MAX_CHARACTERS = 16_384;
const FENCE = /^---[ \t]*$/;
const END = /^(?:---|\.\.\.)[ \t]*$/;

export function splitFrontMatter(text: string): FrontMatter {
  const lines = text.replace(/^\uFEFF/, "").split(/\r?\n/, MAX_LINES + 2);
  if (!FENCE.test(lines[0] ?? "")) return invalidAt(1, "has no front matter: the first line must be ---");
  const end = lines.findIndex((line, at) => at > 0 && END.test(line));
  if (end < 0)
    return invalidAt(lines.length, `the front matter has no end: there is no line --- in the first ${MAX_LINES} lines`);
  const yaml = lines.slice(1, end).join("\n");
  if (yaml.length > MAX_CHARACTERS) return invalidAt(1, `the front matter is longer than ${MAX_CHARACTERS} characters`);
  return { ok: true, yaml, firstLine: 2 };
}

function invalidAt(line: number, message: string): FrontMatter {
  return { ok: false, problem: { line: Math.min(line, MAX_LINES), message } };
}

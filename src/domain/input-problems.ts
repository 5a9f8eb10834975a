/** What zod found wrong with a file of the operator's, as people read it: the path of the field and one sentence. */
import type { z } from "zod";

export interface SettingsProblem {
  /** Where in the file: `products[0].commands.test`; empty for the whole. */
  readonly path: string;
  readonly message: string;
}

/** A problem of settings, with where it is as keys: what finds its line in the file. */
export interface KeyedProblem extends SettingsProblem {
  readonly keys: readonly (string | number)[];
}

export function toSettingsProblems(issue: z.core.$ZodIssue): SettingsProblem[] {
  return locateProblems(issue).map(({ path, message }) => ({ path, message }));
}

/** An unknown key is named by its own path, and a union by the branch that came closest, so that each line can be fixed. */
export function locateProblems(issue: z.core.$ZodIssue): KeyedProblem[] {
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => keyedProblem([...issue.path, key], "there is no such setting"));
  }
  if (issue.code === "invalid_union" && issue.errors.some((branch) => fitsOuterShape(branch))) {
    const closest = issue.errors.find((branch) => fitsOuterShape(branch)) ?? [];
    return closest.flatMap((inner) => locateProblems({ ...inner, path: [...issue.path, ...inner.path] }));
  }
  return [keyedProblem(issue.path, issue.message)];
}

/** The field as people write it, and the way to it. */
export function keyedProblem(keys: readonly PropertyKey[], message: string): KeyedProblem {
  return { path: parseDiffPath(keys), message, keys: keys.map((key) => (typeof key === "number" ? key : String(key))) };
}

/** The branch of a union whose outer shape fits: its issues lie inside it, or are keys it does not know. */
export function fitsOuterShape(branch: readonly z.core.$ZodIssue[]): boolean {
  return branch.every((issue) => issue.path.length > 0 || issue.code === "unrecognized_keys");
}

export function parseDiffPath(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === "number") return `${text}[${key}]`;
    return text === "" ? String(key) : `${text}.${String(key)}`;
  }, "");
}

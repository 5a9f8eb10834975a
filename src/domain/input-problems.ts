/** Turns zod issues of an operator's file into problems that people can read: the path of the field and one sentence. */
import type { z } from "zod";

export interface SettingsProblem {
  /** The path in the file, such as `products[0].commands.test`; empty for the whole file. */
  readonly path: string;
  readonly message: string;
}

/** A problem with its path as keys, which locate its line in the file. */
export interface KeyedProblem extends SettingsProblem {
  readonly keys: readonly (string | number)[];
}

export function toSettingsProblems(issue: z.core.$ZodIssue): SettingsProblem[] {
  return locateProblems(issue).map(({ path, message }) => ({ path, message }));
}

/** An unknown key is named by its own path, and a union by the branch that came closest, so that each line can be fixed. */
export function locateProblems(issue: z.core.$ZodIssue): KeyedProblem[] {
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => keyedProblem([...issue.path, key], "unknown setting"));
  }
  if (issue.code === "invalid_union" && issue.errors.some((branch) => fitsOuterShape(branch))) {
    const closest = issue.errors.find((branch) => fitsOuterShape(branch)) ?? [];
    return closest.flatMap((inner) => locateProblems({ ...inner, path: [...issue.path, ...inner.path] }));
  }
  return [keyedProblem(issue.path, issue.message)];
}

/** Builds a problem from the keys that lead to the field. */
export function keyedProblem(keys: readonly PropertyKey[], message: string): KeyedProblem {
  return { path: formatPath(keys), message, keys: keys.map((key) => (typeof key === "number" ? key : String(key))) };
}

/** Tells whether the outer shape of a union's branch fits: then its issues lie deeper, or are unknown keys. */
export function fitsOuterShape(branch: readonly z.core.$ZodIssue[]): boolean {
  return branch.every((issue) => issue.path.length > 0 || issue.code === "unrecognized_keys");
}

export function formatPath(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === "number") return `${text}[${key}]`;
    return text === "" ? String(key) : `${text}.${String(key)}`;
  }, "");
}

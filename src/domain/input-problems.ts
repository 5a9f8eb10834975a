/** What zod found wrong with a file of the operator's, as people read it: the path of the field and one sentence. */
import { z } from "zod";

export interface SettingsProblem {
  /** Where in the file: `products[0].commands.test`; empty for the whole. */
  readonly path: string;
  readonly message: string;
}

/** A problem of settings, with where it is as keys: what finds its line in the file. */
export interface PlacedProblem extends SettingsProblem {
  readonly keys: readonly (string | number)[];
}

export function problemsOf(issue: z.core.$ZodIssue): SettingsProblem[] {
  return placedProblemsOf(issue).map(({ path, message }) => ({ path, message }));
}

/** An unknown key is named by its own path, and a union by the branch that came closest, so that each line can be mended. */
export function placedProblemsOf(issue: z.core.$ZodIssue): PlacedProblem[] {
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => placed([...issue.path, key], "there is no such setting"));
  }
  if (issue.code === "invalid_union" && issue.errors.some((branch) => deeper(branch))) {
    const closest = issue.errors.find((branch) => deeper(branch)) ?? [];
    return closest.flatMap((inner) => placedProblemsOf({ ...inner, path: [...issue.path, ...inner.path] }));
  }
  return [placed(issue.path, issue.message)];
}

/** The field as people write it, and the way to it. */
export function placed(keys: readonly PropertyKey[], message: string): PlacedProblem {
  return { path: pathOf(keys), message, keys: keys.map((key) => (typeof key === "number" ? key : String(key))) };
}

/** The branch of a union whose outer shape fits: its issues lie inside it, or are keys it does not know. */
export function deeper(branch: readonly z.core.$ZodIssue[]): boolean {
  return branch.every((issue) => issue.path.length > 0 || issue.code === "unrecognized_keys");
}

export function pathOf(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === "number") return `${text}[${key}]`;
    return text === "" ? String(key) : `${text}.${String(key)}`;
  }, "");
}

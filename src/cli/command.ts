/** What a verb is: data from which `--help` is written, and one function that runs it. */
import type { Api } from "./client/api.ts";
import type { Terminal } from "./print/terminal.ts";
import type { World } from "./world.ts";

export interface Command {
  /** For example `reject <task> <comment>`; two words before the arguments form a group: `audit verify`. */
  readonly usage: string;
  readonly summary: string;
  readonly options: readonly (readonly [flags: string, description: string])[];
  readonly examples: readonly string[];
  /**
   * Heavy modules (schemas, tables) are imported inside it, so that `--help` stays fast.
   * Resolves to the exit code; undefined means 0.
   */
  readonly run: (shell: Shell, args: readonly string[], options: CommandOptions) => Promise<number | void>;
}

/** The exit code of a check that found a problem, the same as that of the error "not-verified". */
export const NOT_VERIFIED = 4;

export type CommandOptions = Readonly<Record<string, unknown>>;

/** What every verb receives. */
export interface Shell {
  readonly world: World;
  readonly api: Api;
  readonly terminal: Terminal;
  readonly json: boolean;
}

export function asString(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

/** Parses numbers from the command line; other text is passed on, because the schema's error names the field. */
export function asNumber(value: unknown): number | undefined {
  return typeof value === "string" ? Number(value) : undefined;
}

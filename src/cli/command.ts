/** What a verb is: data, from which `--help` is written, and one function that does it. */
import type { Api } from "./client/api.ts";
import type { Terminal } from "./print/terminal.ts";
import type { World } from "./world.ts";

export interface Command {
  /** `reject <task> <comment>`; a first word before it groups: `audit verify`. */
  readonly usage: string;
  readonly summary: string;
  readonly options: readonly (readonly [flags: string, description: string])[];
  readonly examples: readonly string[];
  /**
   * Whatever is heavy (schemas, tables) is imported inside, so that `--help` stays fast.
   * Resolves to the exit code; nothing means 0.
   */
  readonly run: (shell: Shell, args: readonly string[], options: CommandOptions) => Promise<number | void>;
}

/** The exit code of a check that found something wrong, as of the error "not-verified". */
export const NOT_VERIFIED = 4;

export type CommandOptions = Readonly<Record<string, unknown>>;

/** What a verb is handed. */
export interface Shell {
  readonly world: World;
  readonly api: Api;
  readonly terminal: Terminal;
  readonly json: boolean;
}

export function asString(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

/** For figures typed on the command line; what is no number is left for the schema to refuse by name. */
export function asNumber(value: unknown): number | undefined {
  return typeof value === "string" ? Number(value) : undefined;
}

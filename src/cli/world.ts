/** What one call of `fleet` gets from outside: environment, streams, clock. Tests pass in their own. */

export interface World {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly stdout: Output;
  readonly stderr: Output;
  /** For verbs that prompt; undefined when there is no user to answer. */
  readonly stdin?: Input;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  readonly clock: () => Date;
  readonly random: () => number;
}

export interface Output {
  readonly write: (text: string) => unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

export type Input = NodeJS.ReadableStream & { readonly isTTY?: boolean | undefined };

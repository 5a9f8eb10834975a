/** Where an agent's supervisor runs. tmux today; a container is another implementation of the same five verbs. */

export interface Pane {
  readonly session: string;
  /** Whose it is; null for a session that we did not make. */
  readonly dispatchId: string | null;
  readonly isDead: boolean;
  readonly pid: number | null;
}

export interface StartRequest {
  readonly session: string;
  readonly dispatchId: string;
  readonly argv: readonly string[];
  readonly cwd: string;
  /** The Unix user of the agent, which gets a server of its own; left out: the house's. */
  readonly user?: string | undefined;
}

export interface Runtime {
  /** Looks first: the same dispatch is adopted, another one under this name is a refusal. */
  start(ask: StartRequest): Promise<{ readonly adopted: boolean }>;
  /** Ends the session; no error when there is none. */
  kill(session: string): Promise<void>;
  /** Everything that runs, in one call. An answer that cannot be had is an error, never an empty list. */
  listActive(): Promise<readonly Pane[]>;
  /** Ends the runtime's own server if that is ours alone; for tests and for taking Fleetwright off a machine. */
  shutDown(): Promise<void>;
}

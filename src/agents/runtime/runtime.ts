/** The runtime in which an agent's supervisor runs. tmux is the only implementation so far. */

export interface Pane {
  readonly session: string;
  /** The dispatch that the session belongs to; null when Fleetwright did not create it. */
  readonly dispatchId: string | null;
  readonly isDead: boolean;
  readonly pid: number | null;
}

export interface StartRequest {
  readonly session: string;
  readonly dispatchId: string;
  readonly argv: readonly string[];
  readonly cwd: string;
  /** The agent's Unix user, which has a server of its own; absent for the default server. */
  readonly user?: string | undefined;
}

export interface Runtime {
  /** Starts a session. An existing one of the same dispatch is adopted; one of another dispatch is refused. */
  start(request: StartRequest): Promise<{ readonly adopted: boolean }>;
  /** Ends the session, if there is one. */
  kill(session: string): Promise<void>;
  /** Lists all panes in one call. If the runtime does not answer, it throws rather than returning an empty list. */
  listActive(): Promise<readonly Pane[]>;
  /** Ends the runtime's server, for tests and for removing Fleetwright from a machine. */
  shutDown(): Promise<void>;
}

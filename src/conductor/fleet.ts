/** What a use case may reach for. Built once per process, handed in as the first argument, never imported. */
import type { Agents } from "../agents/agents.ts";
import type { AgentSecretProvider } from "../agents/secrets.ts";
import type { Broker } from "../broker/broker.ts";
import type { Settings } from "../domain/settings/settings.ts";
import type { Redactor } from "../domain/text/redact.ts";
import type { Forge } from "../forge/forge.ts";
import type { Channels } from "../notify/channels.ts";
import type { Store } from "../store/store.ts";

export interface Fleet {
  readonly store: Store;
  readonly broker: Broker;
  readonly agents: Agents;
  readonly forge: Forge;
  readonly channels: Channels;
  readonly secrets: AgentSecretProvider;
  /** Masks secrets in what is stored or shown: by their form, and by the very values that agents receive. */
  readonly redactor: Redactor;
  readonly signer: Signer;
  readonly seal: Seal;
  readonly settings: Settings;
  /** The files in schedules/ as they stand; undefined when this machine has no such folder. */
  readonly scheduleFiles: () => Promise<readonly ScheduleSource[] | undefined>;
  readonly host: HostIdentity;
  /** Names this process in leases and audit entries: `<host>/<pid>/<random>`. */
  readonly worker: string;
  readonly home: string;
  readonly heartbeatIntervalMs: number;
  /** The pace of the monitor, and of the fleet's own schedules. */
  readonly tickMs: number;
  readonly clock: () => Date;
  /** From [0, 1). */
  readonly random: () => number;
  /** A uuid v7. */
  readonly newId: () => string;
  readonly sha256: (text: string) => string;
  /** Tells the relay of this process that something was committed for it. */
  readonly kickRelay: () => void;
  /** Where faults are injected on purpose (`FLEET_KILL_AT=step:position`), and to whom; does nothing otherwise. */
  readonly faultPoint: (point: string, subject?: string) => Promise<void>;
  readonly log: Logger;
}

/** Signs for the house, with its current key, and checks what any of its keys signed. */
export interface Signer {
  sign(text: string): Promise<{ readonly keyId: string; readonly signature: string }>;
  verify(publicJwk: Readonly<Record<string, unknown>>, text: string, signature: string): Promise<boolean>;
}

/** Keeps what the database must not know. `bound` says where a value belongs: elsewhere it does not open. */
export interface Seal {
  /** What seals: the fingerprint of the first key. */
  readonly keyId: string;
  /** What opens. */
  readonly keyIds: readonly string[];
  encrypt(text: string, bound: string): Buffer;
  /** Throws "encryption-key-missing" for a key that is not there, and anything else for bytes that are not its own. */
  decrypt(sealed: Buffer, of: { readonly keyId: string; readonly bound: string }): string;
}

export interface HostIdentity {
  readonly id: string;
  /** Changes when the machine boots: processes of an earlier boot are gone. */
  readonly bootId: string;
  readonly slots: number;
}

export interface Logger {
  debug(facts: object, message: string): void;
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
}

/** One file of the folder, as it was found. */
export interface ScheduleSource {
  /** Without `.json`. */
  readonly name: string;
  readonly file: string;
  readonly text?: string;
  /** Instead of the text. */
  readonly unreadable?: string;
}

/** What use cases work with. Each process builds one and passes it as the first argument; no module imports an instance. */
import type { Agents } from "../agents/agents.ts";
import type { AgentSecretProvider } from "../agents/secrets.ts";
import type { Broker } from "../broker/broker.ts";
import type { Settings } from "../domain/settings/settings.ts";
import type { Redactor } from "../domain/text/redact.ts";
import type { Forges } from "../forge/forges.ts";
import type { Channels } from "../notify/channels.ts";
import type { Store } from "../store/store.ts";

export interface Fleet {
  readonly store: Store;
  readonly broker: Broker;
  readonly agents: Agents;
  readonly forges: Forges;
  readonly channels: Channels;
  readonly secrets: AgentSecretProvider;
  /** Masks secrets in what is stored or shown: by their form, and by the very values that agents receive. */
  readonly redactor: Redactor;
  readonly signer: Signer;
  readonly seal: Seal;
  readonly settings: Settings;
  /** Reads the files in schedules/; undefined when this machine has no such folder. */
  readonly scheduleFiles: () => Promise<readonly ScheduleSource[] | undefined>;
  readonly host: HostIdentity;
  /** Names this process in leases and audit entries: `<host>/<pid>/<random>`. */
  readonly worker: string;
  readonly home: string;
  readonly heartbeatIntervalMs: number;
  /** How often the monitor runs; the fleet's own schedules are multiples of it. */
  readonly tickMs: number;
  readonly clock: () => Date;
  /** From [0, 1). */
  readonly random: () => number;
  /** A uuid v7. */
  readonly newId: () => string;
  readonly sha256: (text: string) => string;
  /** Wakes the relay of this process after a commit that wrote outbox rows. */
  readonly kickRelay: () => void;
  /** Tests inject faults here (`FLEET_KILL_AT=step:position`), for one subject if they name it; it does nothing otherwise. */
  readonly faultPoint: (point: string, subject?: string) => Promise<void>;
  readonly log: Logger;
}

/** Signs with the fleet's current key, and verifies what any of its keys signed. */
export interface Signer {
  sign(text: string): Promise<{ readonly keyId: string; readonly signature: string }>;
  verify(publicJwk: Readonly<Record<string, unknown>>, text: string, signature: string): Promise<boolean>;
}

/** Encrypts secrets before they are stored. `bound` names the row of a value: in another row it does not decrypt. */
export interface Seal {
  /** The fingerprint of the key that encrypts: the first one. */
  readonly keyId: string;
  /** The fingerprints of all keys that decrypt. */
  readonly keyIds: readonly string[];
  encrypt(text: string, bound: string): Buffer;
  /** Throws "encryption-key-missing" when the key is not configured, and another error when the bytes were changed. */
  decrypt(sealed: Buffer, of: { readonly keyId: string; readonly bound: string }): string;
}

export interface HostIdentity {
  readonly id: string;
  /** Changes when the machine boots: no process of an earlier boot is alive. */
  readonly bootId: string;
  readonly slots: number;
}

export interface Logger {
  debug(facts: object, message: string): void;
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
}

/** One file of the folder schedules/. */
export interface ScheduleSource {
  /** Without `.json`. */
  readonly name: string;
  readonly file: string;
  readonly text?: string;
  /** Why it could not be read; set instead of the text. */
  readonly unreadable?: string;
}

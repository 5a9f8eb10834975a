/** The settings: read from the environment once, validated together, frozen. No other file reads process.env. */
import { isIP } from "node:net";
import { isAbsolute, join, resolve } from "node:path";
import { z } from "zod";
import { FleetError } from "./domain/errors.ts";
import { channelEnvironment, CHANNELS } from "./domain/notify/channels.ts";

const Path = z.string().transform((path) => resolve(path));
const PostgresUrl = z.url({ protocol: /^postgres(ql)?$/, error: "must be a postgres:// URL" });

/** Encryption keys, the newest first. */
const EncryptionKeys = z
  .string()
  .transform((text) => text.split(",").map((key) => key.trim()))
  .pipe(
    z
      .array(
        z
          .base64("must be base64")
          .refine((key) => Buffer.from(key, "base64").length === 32, "must be 32 bytes (openssl rand -base64 32)"),
      )
      .min(1)
      .max(8),
  );

/** A setting has one name, that of its variable, in the environment, in the code and in the docs. */
export const Config = z.object({
  DATABASE_URL: PostgresUrl.optional().describe("PostgreSQL server; an embedded one is started when unset"),
  DATABASE_DIRECT_URL: PostgresUrl.optional().describe(
    "PostgreSQL without a pooler in between, for migrations and LISTEN; DATABASE_URL when unset",
  ),
  DATABASE_POOL_MAX: z.coerce.number().int().min(2).max(100).default(10).describe("connections per process"),
  REDIS_URL: z
    .url({ protocol: /^rediss?$/, error: "must be a redis:// or rediss:// URL" })
    .optional()
    .describe("Redis server for the queues; they are in PostgreSQL when unset"),
  PORT: z.coerce
    .number()
    .int()
    .min(0)
    .max(65_535)
    .default(8080)
    .describe("port `fleet web` listens on; 0 for any free one"),
  FLEET_HOST: z.string().default("127.0.0.1").describe("address that `fleet web` binds; 0.0.0.0 for all interfaces"),
  FLEET_PUBLIC_URL: z
    .url({ protocol: /^https?$/, error: "must be an http:// or https:// URL" })
    .optional()
    .describe(
      "public address of `fleet web`, when it is behind a proxy or has a name; requests for other host names are rejected",
    ),
  FLEET_RATE_PER_OPERATOR: z.coerce
    .number()
    .int()
    .min(60)
    .max(10_000_000)
    .default(6_000)
    .describe("API requests an operator may make per minute, for each web process; more get status 429"),
  FLEET_RATE_PER_ADDRESS: z.coerce
    .number()
    .int()
    .min(60)
    .max(10_000_000)
    .default(12_000)
    .describe(
      "API requests an address (for IPv6: its /64) may make per minute, for each web process, with or without a token",
    ),
  FLEET_TRUST_PROXY: z
    .string()
    .transform((list) => list.split(",").map((one) => one.trim()))
    .refine((list) => list.every(isNetwork), "must be addresses or networks (10.0.0.7, 10.0.0.0/8), or loopback")
    .default([])
    .describe(
      "comma-separated addresses of the proxies in front of `fleet web`, whose X-Forwarded-For is trusted; none is trusted when unset",
    ),
  FLEET_ISSUER: z
    .string()
    .regex(/^[\x21-\x7e]{1,2048}$/, "must be printable ASCII characters without spaces")
    .refine((issuer) => issuer !== "fleetwright", "must differ from our own issuer, fleetwright")
    .optional()
    .describe("`iss` of another issuer whose tokens are accepted; requires the next two"),
  FLEET_ISSUER_JWKS_URL: z
    .url({ protocol: /^https?$/, error: "must be an http:// or https:// URL" })
    .refine(isHttpsOrLoopback, "must be https, or an address of this machine")
    .optional()
    .describe("where that issuer publishes its keys"),
  FLEET_ISSUER_AUDIENCE: z
    .string()
    .min(1)
    .max(2048)
    .optional()
    .describe("`aud` that this issuer's tokens for this API have"),
  FLEET_URL: z
    .url({ protocol: /^https?$/, error: "must be an http:// or https:// URL" })
    .optional()
    .describe("the API that commands talk to; the stack of this home when unset"),
  FLEET_TOKEN: z.string().optional().describe("token for the API; the credentials of this home when unset"),
  FLEET_HOME: Path.describe("data of this machine; `fleetwright` in XDG_DATA_HOME or ~/.local/share when unset"),
  FLEET_CONFIG: Path.optional().describe("path of fleet.yaml; the one in the current folder when unset"),
  FLEET_SCHEDULES: Path.optional().describe(
    "folder of the products' schedules; `schedules` next to fleet.yaml when unset",
  ),
  FLEET_HOST_ID: z
    .string()
    .regex(/^[A-Za-z0-9-]{1,63}$/, "must be 1 to 63 letters, digits and hyphens")
    .describe("name of this machine in the fleet; made from the host name when unset"),
  FLEET_SLOTS: z.coerce
    .number()
    .int()
    .min(0)
    .max(1000)
    .default(4)
    .describe("how many agents may run at once on this machine; 0 runs none"),
  FLEET_HEARTBEAT_INTERVAL_MS: z.coerce.number().int().min(100).default(15_000).describe("how often an agent reports"),
  FLEET_TICK_MS: z.coerce.number().int().min(50).default(5_000).describe("how often a machine and the monitor poll"),
  FLEET_TMUX_SOCKET: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,64}$/, "must be 1 to 64 letters, digits, _ and -")
    .default("fleet")
    .describe("name of the tmux server that holds the agents (`tmux -L`)"),
  FLEET_QUEUE_PREFIX: z
    .string()
    .regex(/^[A-Za-z0-9_.{}-]{1,64}$/, "must be 1 to 64 letters, digits and _ . - { }")
    .default("fleet")
    .describe("prefix of all queues; with braces ({fleet}) for Redis Cluster"),
  FLEET_ENCRYPTION_KEY: EncryptionKeys.optional().describe(
    "encrypts private keys and secrets in the database: 32 bytes as base64, or several separated by commas: the first encrypts, all decrypt; generated and stored in a file of this home when unset",
  ),
  ...channelEnvironment(CHANNELS),
  FLEET_LOG_LEVEL: z
    .enum(["fatal", "error", "warn", "info", "debug", "trace", "silent"])
    .default("info")
    .describe("least severe line that is logged"),
  FLEET_SEED: z.coerce.number().int().min(0).optional().describe("makes randomness repeatable, for tests"),
});

/** Keys that arrive over an unencrypted network could be anyone's. */
function isHttpsOrLoopback(url: string): boolean {
  const { protocol, hostname } = new URL(url);
  return protocol === "https:" || ["localhost", "127.0.0.1", "[::1]"].includes(hostname);
}
export type Config = Readonly<z.output<typeof Config>>;

/** The machine's own values, for variables that are not set. */
export interface Machine {
  readonly homeDir: string;
  readonly hostName: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** One error names every invalid variable; an empty one counts as unset. */
export function readConfig(env: Environment, machine: Machine): Config {
  const given: Record<string, string> = {
    FLEET_HOME: join(dataDir(env, machine), "fleetwright"),
    FLEET_HOST_ID: toHostId(machine.hostName),
  };
  for (const name of Object.keys(Config.shape)) {
    const value = env[name]?.trim();
    if (value) given[name] = value;
  }
  const config = Config.safeParse(given);
  if (config.success) return Object.freeze(config.data);
  const wrong = [...new Set(config.error.issues.map(({ path }) => String(path[0])))];
  throw new FleetError("invalid-input", `The environment is not valid:\n${z.prettifyError(config.error)}`, { wrong });
}

/** Accepts `10.0.0.7`, `10.0.0.0/8`, `2001:db8::/32`, or a word for several networks. Not for all: then any client could forge its address. */
function isNetwork(text: string): boolean {
  if (text === "loopback" || text === "linklocal" || text === "uniquelocal") return true;
  const [address = "", bits, ...more] = text.split("/");
  const maxBits = { 4: 32, 6: 128 }[isIP(address)] ?? 0;
  return (
    maxBits > 0 && more.length === 0 && (bits === undefined || (/^[1-9]\d{0,2}$/.test(bits) && Number(bits) <= maxBits))
  );
}

/** The specification requires a relative XDG_DATA_HOME to be ignored. */
function dataDir({ XDG_DATA_HOME: given = "" }: Environment, { homeDir }: Machine): string {
  return isAbsolute(given) ? given : join(homeDir, ".local", "share");
}

/** The first label of the host name, reduced to the characters that a queue's name may have. */
function toHostId(hostName: string): string {
  const [first = ""] = hostName.split(".");
  const word = first.replaceAll(/[^A-Za-z0-9-]+/g, "-").replaceAll(/^-+|-+$/g, "");
  return word.slice(0, 63) || "host";
}

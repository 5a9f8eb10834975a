/** One logger for everything: JSON lines, or readable ones on a terminal. What looks like a secret is not written. */
import { join } from "node:path";
import { destination, type DestinationStream, type Logger, pino, stdSerializers } from "pino";
import { channelEnvironment, CHANNELS } from "./domain/notify/channels.ts";

export type Log = Logger;

const SECRET_KEYS = [
  ..."password passwd secret token apiKey authorization cookie set-cookie privateKey credentials prompt".split(" "),
  ..."DATABASE_URL DATABASE_DIRECT_URL REDIS_URL FLEET_TOKEN FLEET_ENCRYPTION_KEY".split(" "),
  ...Object.keys(channelEnvironment(CHANNELS)),
];

/** pino's patterns do not reach to any depth; three levels hold all that we log. */
const SECRET_PATHS = SECRET_KEYS.flatMap((key) => [`["${key}"]`, `*["${key}"]`, `*.*["${key}"]`]);

/** Drivers put the whole URL of what they could not reach into the message. Quotes end a match: a line stays JSON. */
const URL_PASSWORD = /(\b[a-z][a-z0-9+.-]*:\/\/[^\s:@/"\\]*:)[^\s@/"\\]+@/gi;

export interface LogOptions {
  readonly level: string;
  /** Standard output when not given; readable only when that is a terminal. */
  readonly to?: DestinationStream;
}

/**
 * `log.child({ component: "relay" })`, then `log.info({ taskId, event, duration_ms }, "a sentence")`: those keys, so that
 * lines can be searched by who speaks, about what, what happened and how long it took.
 */
export async function openLog({ level, to }: LogOptions): Promise<Log> {
  const stream = to ?? (process.stdout.isTTY ? await openPrettyStream() : destination({ dest: 1, sync: true }));
  return pino(
    {
      level,
      base: { pid: process.pid },
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRET_PATHS, censor: "[redacted]" },
      serializers: { error: stdSerializers.err },
    },
    { write: (line: string) => stream.write(line.replaceAll(URL_PASSWORD, "$1[redacted]@")) },
  );
}

/** Loaded only for a terminal: no other process pays for it. */
async function openPrettyStream(): Promise<DestinationStream> {
  const { default: pretty } = await import("pino-pretty");
  return pretty({
    sync: true,
    translateTime: "SYS:HH:MM:ss",
    ignore: "pid,component",
    messageFormat: "{if component}{component}: {end}{msg}",
  });
}

/** `<home>/logs/fleet.log`, for processes whose terminal is for people. */
export async function openLogFile(home: string): Promise<DestinationStream> {
  return destination({ dest: join(home, "logs", "fleet.log"), mkdir: true, sync: true });
}

/** The environment of this process; no other file reads it. */
import { homedir, hostname } from "node:os";
import { type Config, readConfig } from "../environment.ts";

/** The settings of this process; FleetError("invalid-input") names every invalid one. Command-line values override the environment. */
export function processConfig(overrides: Readonly<Record<string, string>> = {}): Config {
  return readConfig({ ...process.env, ...overrides }, { homeDir: homedir(), hostName: hostname() });
}

/**
 * What a program we start may inherit: enough to find programs, a home and a language, but none of our settings,
 * which contain passwords and keys.
 */
export function baseEnv(): Record<string, string> {
  const allowed = ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TERM", "TMPDIR", "TZ"];
  return Object.fromEntries(allowed.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])));
}

/** The source from which agents get the variables that their type needs, by name. */
export function secretEnv(): Readonly<Record<string, string | undefined>> {
  return process.env;
}

/** For fault-injection tests only. */
export function faultEnv(): { killAt: string | undefined; stopAt: string | undefined } {
  return { killAt: process.env["FLEET_KILL_AT"], stopAt: process.env["FLEET_STOP_AT"] };
}

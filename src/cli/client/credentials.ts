/** The API's address and the caller's token: from FLEET_URL and FLEET_TOKEN, or from the file that `fleet up` writes for its own user. */
import { readFile, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import type { FleetError } from "../../domain/errors.ts";
import { codeOf } from "../../domain/errors.ts";

export interface Credentials {
  readonly url: string;
  readonly token: string;
}

type Env = Readonly<Record<string, string | undefined>>;

export function credentialsFile(env: Env): string {
  const home = env["FLEET_HOME"] || join(homedir(), ".local", "share", "fleetwright");
  return join(home, "credentials.json");
}

/** A token is sent only to the address that it was issued for. */
export async function readCredentials(env: Env): Promise<Credentials> {
  const url = env["FLEET_URL"];
  const token = env["FLEET_TOKEN"];
  if (url && token) return { url, token };

  const local = await readLocal(credentialsFile(env));
  if (url && local?.url !== url) {
    throw await fleetError(
      "unauthenticated",
      `There is no token for ${url}. Set FLEET_TOKEN to one that server issued.`,
    );
  }
  if (!local)
    throw await fleetError("stack-not-running", "Fleetwright is not running on this machine. Start it: npx fleet up");
  return { url: local.url, token: token || local.token };
}

async function readLocal(file: string): Promise<Credentials | undefined> {
  let text: string;
  try {
    const { mode } = await stat(file);
    if ((mode & 0o077) !== 0) {
      throw await fleetError("unauthenticated", `${file} can be read by others. Fix it: chmod 600 ${file}`);
    }
    text = await readFile(file, "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
  const found: unknown = JSON.parse(text);
  if (isCredentials(found)) return { url: found.url, token: found.token };
  throw await fleetError("stack-not-running", `${file} is not a valid credentials file. Recreate it: npx fleet up`);
}

/** Checks by hand, because a schema would cost every verb 50 ms before it sends its request. */
function isCredentials(found: unknown): found is Credentials {
  if (typeof found !== "object" || found === null || !("url" in found) || !("token" in found)) return false;
  return typeof found.url === "string" && typeof found.token === "string";
}

/** Loads the error table only on failure, because it brings its schemas along. */
export async function fleetError(...args: ConstructorParameters<typeof FleetError>): Promise<Error> {
  const errors = await import("../../domain/errors.ts");
  return new errors.FleetError(...args);
}

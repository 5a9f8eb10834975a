/** The doctor checks of this machine's data and of fleet.yaml. */
import { access, constants, stat, statfs } from "node:fs/promises";
import { dirname, join } from "node:path";
import { MIN_FREE_MB } from "../../../agents/agents.ts";
import { findUnixUser } from "../../../command/unix-user.ts";
import type { Config } from "../../../environment.ts";
import { loadSettings } from "../../../processes/settings.ts";
import { credentialsFile } from "../../client/credentials.ts";
import { plural } from "../../print/format.ts";
import type { Finding } from "./check.ts";

/** Below this no agent is started. */
const COMFORTABLE_MB = 5_000;

export async function checkHome({ FLEET_HOME: home }: Config): Promise<Finding[]> {
  const existing = await nearestExisting(home);
  const exists = existing === home;
  const writable = await access(existing, constants.W_OK | constants.X_OK).then(
    () => true,
    () => false,
  );
  const folder: Finding = writable
    ? { name: "home", state: "ok", said: exists ? home : `${home}, created by the first fleet up` }
    : { name: "home", state: "wrong", said: `${home} cannot be written to`, fix: `chown it to you, or set FLEET_HOME` };
  return [folder, ...(exists ? await checkSecrets(home) : []), await checkDisk(existing)];
}

/** The folder, or its closest existing parent. */
async function nearestExisting(path: string): Promise<string> {
  const exists = await stat(path).catch(() => undefined);
  return exists || dirname(path) === path ? path : nearestExisting(dirname(path));
}

async function checkSecrets(home: string): Promise<Finding[]> {
  const files = [credentialsFile({ FLEET_HOME: home }), join(home, "encryption.key")];
  const open: string[] = [];
  for (const file of files) {
    const mode = (await stat(file).catch(() => undefined))?.mode ?? 0;
    if ((mode & 0o077) !== 0) open.push(file);
  }
  if (open.length === 0) return [];
  return [
    {
      name: "secrets",
      state: "wrong",
      said: `${open.join(", ")} can be read by others`,
      fix: `chmod 600 ${open.join(" ")}`,
    },
  ];
}

async function checkDisk(path: string): Promise<Finding> {
  const { bavail, bsize } = await statfs(path);
  const freeMb = Math.floor((bavail * bsize) / 1_048_576);
  const said = `${(freeMb / 1_024).toFixed(1)} GiB free`;
  if (freeMb < MIN_FREE_MB) {
    return {
      name: "disk",
      state: "wrong",
      said,
      fix: `No agent starts below ${MIN_FREE_MB} MiB: free some disk space`,
    };
  }
  if (freeMb < COMFORTABLE_MB)
    return { name: "disk", state: "absent", said, fix: "There is room for only a few working copies" };
  return { name: "disk", state: "ok", said };
}

export async function checkSettings({ FLEET_CONFIG: named }: Config): Promise<Finding[]> {
  try {
    const { products, reviewers, tenants } = await loadSettings(named, process.cwd());
    const file = named ?? ((await stat("fleet.yaml").catch(() => undefined)) ? "fleet.yaml" : undefined);
    if (!file) return [{ name: "fleet.yaml", state: "absent", said: "not found here; the defaults apply" }];
    const counts = `${plural(products.length, "product")}, ${plural(reviewers.default.length, "reviewer")}`;
    const users = Object.values(tenants).flatMap(({ unixUser }) => unixUser ?? []);
    return [{ name: "fleet.yaml", state: "ok", said: `${file}: ${counts}` }, ...(await checkUsers(users))];
  } catch (error) {
    const [first = "", ...lines] = String(error instanceof Error ? error.message : error).split("\n");
    const said = `${first} ${lines.map((line) => line.trim()).join("; ")}`;
    const fix = "Fix the listed lines; running processes use the previous settings";
    return [{ name: "fleet.yaml", state: "wrong", said, fix }];
  }
}

/** The Unix users that tenants' agents run as, on this host and for this caller. */
async function checkUsers(names: readonly string[]): Promise<Finding[]> {
  const checks = names.map(async (unixUser): Promise<Finding> => {
    const name = "Unix user";
    return findUnixUser(unixUser).then(
      ({ uid }) => ({ name, state: "ok", said: `${unixUser}, uid ${uid}` }),
      (error: Error) => ({
        name,
        state: "wrong",
        said: error.message,
        fix: "It is set in fleet.yaml, tenants.<id>.unixUser",
      }),
    );
  });
  return Promise.all(checks);
}

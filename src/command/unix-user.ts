/** Runs programs as another user of this machine. Only root can do that, and a program started this way cannot become root again. */
import { constants } from "node:fs";
import { access, chmod, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { FleetError } from "../domain/errors.ts";
import { lastLines, runCommand } from "./run.ts";

export const UnixUser = z.object({ name: z.string(), uid: z.int().min(1), gid: z.int().min(1) });
export type UnixUser = z.infer<typeof UnixUser>;

const SETPRIV = "/usr/bin/setpriv";
const RUN_OPTIONS = { cwd: "/", env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" }, timeoutMs: 120_000 };
/** Tenants' users may enter these folders below a home, each as far as their own folder; PostgreSQL's folder has its own user. */
const TRAVERSABLE: ReadonlySet<string> = new Set(["workspaces", "users", "checks", "postgres"]);

/** Throws an error that names what is missing: root, the setpriv program, or the user. */
export async function findUnixUser(name: string, ownUid = process.getuid?.()): Promise<UnixUser> {
  if (ownUid !== 0)
    throw unusableUser(name, `it needs root to become another user, and runs as uid ${ownUid ?? "unknown"}`);
  const isInstalled = await access(SETPRIV, constants.X_OK).then(
    () => true,
    () => false,
  );
  if (!isInstalled) throw unusableUser(name, `${SETPRIV} is not installed; it is part of util-linux`);
  const [uid, gid] = await Promise.all([readId("-u", name), readId("-g", name)]);
  if (uid === undefined || gid === undefined) {
    throw unusableUser(
      name,
      `this host has no such user. Create it: useradd --system --shell /usr/sbin/nologin ${name}`,
    );
  }
  if (uid === 0 || gid === 0) throw unusableUser(name, "that user, or its group, is root's");
  return { name, uid, gid };
}

/** The same command as that user: no group, capability or setuid program can restore rights. */
export function asUser(user: UnixUser | undefined, argv: readonly string[]): readonly string[] {
  if (!user) return argv;
  return [SETPRIV, `--reuid=${user.uid}`, `--regid=${user.gid}`, "--init-groups", "--no-new-privs", "--", ...argv];
}

/** Gives the folder and its content to that user; only root can read it besides. */
export async function chownTree(user: UnixUser, path: string): Promise<void> {
  await runOrThrow(["chown", "-R", "-h", "-P", `${user.uid}:${user.gid}`, "--", path]);
  await chmod(path, 0o700);
}

/** Tenants' users pass through the home to their own folders; everything else directly in it is closed to them. */
export async function allowTraversal(home: string, user: UnixUser): Promise<void> {
  for (const entry of await readdir(home, { withFileTypes: true })) {
    const path = join(home, entry.name);
    const wanted = TRAVERSABLE.has(entry.name) ? 0o711 : 0o700;
    if (entry.isDirectory() && ((await stat(path)).mode & 0o777) !== wanted) await chmod(path, wanted);
  }
  await chmod(home, 0o711);
  const { exitCode } = await runCommand(asUser(user, ["test", "-x", home]), RUN_OPTIONS);
  if (exitCode === 0) return;
  throw unusableUser(user.name, `it cannot enter ${home}: make every folder above it enterable (chmod o+x)`);
}

async function runOrThrow(argv: readonly string[]): Promise<void> {
  const { exitCode, stderr } = await runCommand(argv, RUN_OPTIONS);
  if (exitCode !== 0) throw new FleetError("runtime-unavailable", `${argv[0]}: ${lastLines(stderr, 3)}`);
}

async function readId(flag: "-u" | "-g", name: string): Promise<number | undefined> {
  const { exitCode, stdout } = await runCommand(["id", flag, "--", name], RUN_OPTIONS);
  return exitCode === 0 ? Number(stdout) : undefined;
}

function unusableUser(name: string, why: string): FleetError {
  return new FleetError("runtime-unavailable", `Nothing can run as Unix user ${name}: ${why}.`, { unixUser: name });
}

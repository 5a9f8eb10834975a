/** The Unix user of a tenant's agents: a folder of its own, and an environment that leads there. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { findUnixUser, chownTree, allowTraversal, type UnixUser } from "../command/unix-user.ts";
import { SpawnError, messageOf } from "../domain/errors.ts";
import { cacheRoot, userRoot, workspaceRoot } from "./paths.ts";

const FOLDERS = ["home", "tmp", "cache"];

/** The user, with its folder made: home, temporary files and download caches, which only it and root can read. */
export async function prepareUser(home: string, name: string): Promise<UnixUser> {
  try {
    const user = await findUnixUser(name);
    const root = userRoot(home, name);
    await mkdir(workspaceRoot(home), { recursive: true, mode: 0o711 });
    for (const folder of FOLDERS) await mkdir(join(root, folder), { recursive: true, mode: 0o700 });
    await allowTraversal(home, user);
    await chownTree(user, root);
    return user;
  } catch (error) {
    const why = messageOf(error);
    throw new SpawnError("NO_UNIX_USER", "workspace", why, error);
  }
}

/** What replaces the worker's own, so that programs look for their files where they may. */
export function userEnv(home: string, user: UnixUser | undefined): Record<string, string> {
  if (!user) return {};
  const root = userRoot(home, user.name);
  return {
    HOME: join(root, "home"),
    TMPDIR: join(root, "tmp"),
    TMUX_TMPDIR: join(root, "tmp"),
    USER: user.name,
    LOGNAME: user.name,
    SHELL: "/bin/sh",
  };
}

/** Downloads of installers: one for the house, and one for each user, who could poison a common one. */
export function installerCacheDir(home: string, user: UnixUser | undefined): string {
  return user ? join(userRoot(home, user.name), "cache") : cacheRoot(home);
}

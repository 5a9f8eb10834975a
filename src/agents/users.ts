/** The Unix user of a tenant's agents: its private folder, and an environment that points there. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { findUnixUser, chownTree, allowTraversal, type UnixUser } from "../command/unix-user.ts";
import { SpawnError, messageOf } from "../domain/errors.ts";
import { cacheRoot, userRoot, workspaceRoot } from "./paths.ts";

const FOLDERS = ["home", "tmp", "cache"];

/** Finds the user and creates its folder for home, temporary files and download caches, which only it and root can read. */
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

/** Returns the variables that replace the worker's own, so that programs use folders that the user may access. */
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

/** Returns the installers' download cache. Each Unix user has its own, because one user could poison a shared one. */
export function installerCacheDir(home: string, user: UnixUser | undefined): string {
  return user ? join(userRoot(home, user.name), "cache") : cacheRoot(home);
}

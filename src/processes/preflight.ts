/** Checks the requirements of this machine before anything is started, with errors that explain the fix. */
import { randomUUID } from "node:crypto";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { codeOf, FleetError, messageOf } from "../domain/errors.ts";
import { readVersion } from "./versions.ts";

/** Checks git and tmux, as agents need them. One error names every missing program. */
export async function requirePrograms(): Promise<void> {
  const versions = await Promise.all([readVersion(["git", "--version"]), readVersion(["tmux", "-V"])]);
  const missing = ["git", "tmux"].filter((_, at) => versions[at] === undefined);
  if (missing.length === 0) return;
  const names = missing.join(" and ");
  throw new FleetError("runtime-unavailable", `${names} cannot be found. ${installHint(missing)}`, { missing });
}

export function installHint(programs: readonly string[]): string {
  const words = programs.join(" ");
  return process.platform === "darwin"
    ? `Install: brew install ${words}`
    : `Install, for instance: apt-get install ${words}`;
}

/** Creates the home, and checks that it is writable. */
export async function prepareHome(home: string): Promise<void> {
  const probe = join(home, `.probe-${randomUUID()}`);
  try {
    // Root's PostgreSQL runs as another user, who must be able to enter the folder.
    await mkdir(home, { recursive: true, mode: process.getuid?.() === 0 ? 0o711 : 0o700 });
    await writeFile(probe, "");
    await rm(probe);
  } catch (error) {
    const why = HOME_ERRORS[codeOf(error) ?? ""] ?? messageOf(error);
    throw new FleetError(
      "invalid-input",
      `${home} cannot be used as home: ${why}. Choose another one: FLEET_HOME=… fleet up`,
      { home },
      error,
    );
  }
}

const HOME_ERRORS: Readonly<Record<string, string>> = {
  EEXIST: "it is a file",
  ENOTDIR: "a part of the path is a file",
  EACCES: "you may not write there",
  EPERM: "you may not write there",
  EROFS: "the file system is read-only",
  ENOSPC: "the disk is full",
};

/**
 * Real git repositories for tests: created in their own folder, changed by plain git as an operator or an agent
 * would.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

export interface TestFolder extends Disposable {
  readonly path: string;
  /** Created inside this folder, and the folder if necessary. */
  folder: (name: string) => string;
}

export function testFolder(): TestFolder {
  const path = mkdtempSync(join(tmpdir(), "fleet-test-"));
  const folder = (name: string) => {
    mkdirSync(join(path, name), { recursive: true });
    return join(path, name);
  };
  return { path, folder, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** Git as an operator runs it, without the configuration of this machine. */
export function runGit(cwd: string, ...args: readonly string[]): string {
  const env = {
    PATH: process.env["PATH"],
    HOME: "/nonexistent",
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_AUTHOR_NAME: "Ada",
    GIT_AUTHOR_EMAIL: "ada@example.invalid",
    GIT_COMMITTER_NAME: "Ada",
    GIT_COMMITTER_EMAIL: "ada@example.invalid",
  };
  return execFileSync("git", ["-c", "init.defaultBranch=main", ...args], {
    cwd,
    env,
    encoding: "utf8",
    stdio: "pipe",
  }).trim();
}

/** Writes the files and commits them; returns the commit's id. */
export function commitFiles(cwd: string, files: Readonly<Record<string, string>>, message = "change"): string {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(cwd, name)), { recursive: true });
    writeFileSync(join(cwd, name), text);
  }
  runGit(cwd, "add", "--all");
  runGit(cwd, "commit", "--quiet", "--message", message);
  return runGit(cwd, "rev-parse", "HEAD");
}

/** A checkout with one commit on main. */
export function newCheckout(
  path: string,
  files: Readonly<Record<string, string>> = { "README.md": "hello\n" },
): string {
  mkdirSync(path, { recursive: true });
  runGit(path, "init", "--quiet");
  commitFiles(path, files, "first");
  return path;
}

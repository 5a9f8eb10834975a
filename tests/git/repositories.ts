/** Real repositories to test against: a bare one with a first commit, as a forge would hold it. */
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { git, FLEETWRIGHT_IDENTITY } from "../../src/git/git.ts";

const DEFAULT_FILES = { "README.md": "# Shop\n", "src/sum.sh": "echo $(($1 + $2))\n" };

/** A bare repository with one commit on `main`; returns its path. */
export async function aForgeRepository(home: string, files: Readonly<Record<string, string>> = DEFAULT_FILES) {
  const work = join(home, `seed-${Math.random().toString(36).slice(2)}`);
  const forge = join(home, `${work.split("seed-")[1] ?? "x"}.git`);
  await git(["init", "--quiet", "--bare", "-b", "main", forge]);
  await git(["init", "--quiet", "-b", "main", work]);
  await commitFiles(work, files, "First commit");
  await git(["push", "--quiet", forge, "main"], { cwd: work, allowProtocol: "file" });
  return { url: forge, work };
}

/** Commits the files in a checkout; returns the commit. */
export async function commitFiles(work: string, files: Readonly<Record<string, string>>, message: string) {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(work, path)), { recursive: true });
    await writeFile(join(work, path), text);
  }
  await git(["add", "-A"], { cwd: work });
  await git(["commit", "--quiet", "-m", message], { cwd: work, identity: FLEETWRIGHT_IDENTITY });
  return (await git(["rev-parse", "HEAD"], { cwd: work })).trim();
}

/** A bare repository of our own: built under another name and put in place by one rename, so that a crash leaves no half of one. */
import { mkdir, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { git } from "./git.ts";

/** `fill` configures the empty repository and fetches into it. Callers hold the lock that belongs to `gitDir`. */
export async function createBareCopy(gitDir: string, fill: (draft: string) => Promise<void>): Promise<void> {
  const draft = `${gitDir}.draft`;
  await rm(draft, { recursive: true, force: true });
  await mkdir(dirname(gitDir), { recursive: true, mode: 0o700 });
  await git(["init", "--quiet", "--bare", "--template=", draft]);
  try {
    await fill(draft);
    await rename(draft, gitDir);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    throw error;
  }
}

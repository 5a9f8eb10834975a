/** Reads the tool requirements of a product's repository and the hashes of its lock files at one commit. */
import type { ObservedProduct } from "../domain/drift/product-drift.ts";
import { LOCKFILES, readToolchain, TOOLCHAIN_FILES } from "../domain/drift/toolchain.ts";
import { listFiles, readText, type CommitRef } from "./repository.ts";

/** The largest lock files have a few megabytes; reading more would block the process. */
const MAX_BYTES = 8 * 1_024 * 1_024;

export async function surveyProduct(id: string, commit: CommitRef): Promise<ObservedProduct> {
  const entries = await listFiles(commit);
  const known: readonly string[] = LOCKFILES;
  const lockfiles = entries.filter(({ path }) => known.includes(path)).map(({ path, hash }) => ({ path, hash }));
  const files = new Map<string, string>();
  for (const entry of entries.filter(({ path }) => TOOLCHAIN_FILES.includes(path))) {
    const text = await readText(commit, entry, MAX_BYTES);
    if (text !== undefined) files.set(entry.path, text);
  }
  return { id, headSha: commit.commitSha, lockfiles, ...readToolchain(files) };
}

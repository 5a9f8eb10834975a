/** Mirrors of repositories: a mirror is wanted while a live task uses its repository. */
import { basename } from "node:path";
import type { TaskInUse } from "../../store/gc.ts";
import type { Fleet } from "../fleet.ts";

/** While a repository cannot be identified, every mirror counts as wanted. */
export async function wantedMirrors(fleet: Fleet, all: readonly TaskInUse[]): Promise<(url: string) => boolean> {
  const repositories = new Set(all.filter(({ live }) => live).map(({ repository }) => repository));
  const names = new Set<string>();
  for (const repository of repositories) {
    const named = await fleet.forges
      .of(repository)
      .identify(repository)
      .catch(() => undefined);
    if (!named) return () => true;
    names.add(named.repository).add(named.slug).add(repository);
  }
  return (url) => names.has(url) || names.has(basename(url, ".git"));
}

/** The folder of schedule files: read repeatedly while workers run, so that a change needs no restart. */
import { readdir, readFile, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { Config } from "../environment.ts";
import { codeOf } from "../domain/errors.ts";
import type { ScheduleSource } from "../conductor/fleet.ts";

/** A schedule is a page at most, so a larger file is a mistake. */
const MAX_BYTES = 65_536;

/** The folder next to fleet.yaml, unless FLEET_SCHEDULES names another. */
export function schedulesFolder(config: Pick<Config, "FLEET_SCHEDULES" | "FLEET_CONFIG">, folder: string): string {
  return config.FLEET_SCHEDULES ?? join(dirname(resolve(folder, config.FLEET_CONFIG ?? "fleet.yaml")), "schedules");
}

interface CachedFile {
  readonly stamp: string;
  readonly source: ScheduleSource;
}

/**
 * Returns every `*.json` of the folder, or undefined when there is no such folder: then this process does not change schedules,
 * since other processes may have the files. Files that did not change are not read again.
 */
export function openScheduleFolder(folder: string): () => Promise<readonly ScheduleSource[] | undefined> {
  let cache = new Map<string, CachedFile>();
  return async () => {
    const names = await readdir(folder).catch((error: unknown) => {
      if (codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR") return undefined;
      throw error;
    });
    if (!names) return undefined;
    const files = names.filter((name) => name.endsWith(".json") && !name.startsWith(".")).toSorted();
    const found = new Map<string, CachedFile>();
    for (const file of files) {
      const next = await readIfChanged(join(folder, file), file.slice(0, -".json".length), cache.get(file));
      if (next) found.set(file, next);
    }
    cache = found;
    return [...found.values()].map(({ source }) => source);
  };
}

/** Undefined when it was removed meanwhile. */
async function readIfChanged(
  file: string,
  name: string,
  cached: CachedFile | undefined,
): Promise<CachedFile | undefined> {
  try {
    const { mtimeMs, size, ino } = await stat(file);
    const stamp = `${mtimeMs} ${size} ${ino}`;
    if (cached?.stamp === stamp) return cached;
    if (size > MAX_BYTES) return { stamp, source: { name, file, unreadable: `is larger than ${MAX_BYTES} bytes` } };
    return { stamp, source: { name, file, text: await readFile(file, "utf8") } };
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    return { stamp: "", source: { name, file, unreadable: `cannot be read: ${String(error)}` } };
  }
}

/** What an agent says that it has used: JSON lines in a file of its run, named by FLEET_USAGE. Only the end of it is read. */
import { closeSync, constants, fstatSync, openSync, readFileSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import { parseUsage, type Usage } from "../../domain/budget.ts";

/** More than enough for the last lines, however large the agent lets it grow. */
const TAIL_BYTES = 8_192;

export function usageFile(dir: string): string {
  return join(dir, "usage.jsonl");
}

/** An agent of another Unix user cannot write into its run's folder: here stands where it writes instead. */
export function usagePathFile(dir: string): string {
  return join(dir, "usage.path");
}

function resolveUsageFile(dir: string): string {
  const elsewhere = usagePathFile(dir);
  return statSync(elsewhere, { throwIfNoEntry: false }) ? readFileSync(elsewhere, "utf8") : usageFile(dir);
}

/** Undefined when it said nothing that can be read. It may have put anything there: a link, a pipe, another program's file. */
export function readUsage(dir: string): Usage | undefined {
  const path = resolveUsageFile(dir);
  // Asked first: most of the time it is not there, and a failed open costs ten times as much.
  if (!statSync(path, { throwIfNoEntry: false })) return undefined;
  let file: number | undefined;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const found = fstatSync(file);
    if (!found.isFile() || found.nlink !== 1) return undefined;
    const buffer = Buffer.alloc(Math.min(found.size, TAIL_BYTES));
    const length = readSync(file, buffer, 0, buffer.length, Math.max(0, found.size - buffer.length));
    return parseUsage(buffer.toString("utf8", 0, length));
  } catch {
    return undefined;
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** Reads the usage that an agent reports as JSON lines in the file named by FLEET_USAGE. Only the end of the file is read. */
import { closeSync, constants, fstatSync, openSync, readFileSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import { parseUsage, type Usage } from "../../domain/budget.ts";

/** This is enough for the last lines, however large the file grows. */
const TAIL_BYTES = 8_192;

export function usageFile(dir: string): string {
  return join(dir, "usage.jsonl");
}

/** Contains the path of the usage file for an agent of another Unix user, which cannot write into the attempt's folder. */
export function usagePathFile(dir: string): string {
  return join(dir, "usage.path");
}

function resolveUsageFile(dir: string): string {
  const elsewhere = usagePathFile(dir);
  return statSync(elsewhere, { throwIfNoEntry: false }) ? readFileSync(elsewhere, "utf8") : usageFile(dir);
}

/** Returns undefined when there is no readable report. The agent may have put anything there: a link, a pipe, another program's file. */
export function readUsage(dir: string): Usage | undefined {
  const path = resolveUsageFile(dir);
  // Checked first: the file is usually missing, and a failed open costs ten times as much.
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

/** An agent's output, by byte offset from its very beginning: offsets stay true when the log is rotated. */
import { open, readFile, stat } from "node:fs/promises";
import { join } from "node:path";

export type LogRange = { readonly tailBytes: number } | { readonly from: number; readonly mostBytes?: number };

export interface LogChunk {
  readonly bytes: Buffer;
  /** Offset of the first byte; greater than asked when older output was rotated away. */
  readonly from: number;
  /** Where to read on. */
  readonly next: number;
  /** All the agent has ever written. */
  readonly total: number;
}

const MOST_BYTES = 256 * 1_024;
const TRIES = 5;

/** The supervisor writes `output.log`, moves it to `output.log.1` when full, and counts in `log.base` what went before it. */
export async function readRunLog(runDir: string, range: LogRange): Promise<LogChunk> {
  for (let attempt = 1; ; attempt += 1) {
    const base = await readBase(runDir);
    const chunk = await readOnce(runDir, base, range);
    // Rotated while we read: what was read may belong to another offset.
    if ((await readBase(runDir)) === base || attempt === TRIES) return chunk;
  }
}

async function readOnce(runDir: string, base: number, range: LogRange): Promise<LogChunk> {
  const current = join(runDir, "output.log");
  const older = join(runDir, "output.log.1");
  const total = base + (await sizeOf(current));
  const oldest = base - (await sizeOf(older));
  const wanted = "tailBytes" in range ? total - range.tailBytes : range.from;
  const from = Math.min(total, Math.max(oldest, wanted));
  const most = "tailBytes" in range ? range.tailBytes : (range.mostBytes ?? MOST_BYTES);
  const end = Math.min(total, from + most);
  const parts = [
    await readPart(older, from - oldest, Math.min(end, base) - oldest),
    await readPart(current, Math.max(from, base) - base, end - base),
  ];
  const bytes = Buffer.concat(parts);
  return { bytes, from, next: from + bytes.length, total };
}

async function readPart(path: string, start: number, end: number): Promise<Buffer> {
  if (end <= start) return Buffer.alloc(0);
  const file = await open(path, "r").catch(() => undefined);
  if (!file) return Buffer.alloc(0);
  try {
    const buffer = Buffer.alloc(end - start);
    const { bytesRead } = await file.read(buffer, 0, buffer.length, start);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

async function readBase(runDir: string): Promise<number> {
  return Number(await readFile(join(runDir, "log.base"), "utf8").catch(() => "0")) || 0;
}

async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => undefined))?.size ?? 0;
}

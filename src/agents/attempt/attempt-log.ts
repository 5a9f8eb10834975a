/** Reads an agent's output by byte offset from its very beginning, so that offsets stay valid when the log is rotated. */
import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";
import { open, readFile, stat } from "node:fs/promises";
import { join } from "node:path";

export type LogRange = { readonly tailBytes: number } | { readonly from: number; readonly maxBytes?: number };

export interface LogChunk {
  readonly bytes: Buffer;
  /** The offset of the first byte; greater than requested when older output was rotated away. */
  readonly from: number;
  /** The offset at which to continue. */
  readonly next: number;
  /** The number of bytes that the agent has written in total. */
  readonly total: number;
}

const MAX_BYTES = 256 * 1_024;
const MAX_TRIES = 5;

/** The supervisor writes `output.log`, moves it to `output.log.1` when it is full, and counts the bytes before it in `log.base`. */
export async function readAttemptLog(attemptDir: string, range: LogRange): Promise<LogChunk> {
  for (let attempt = 1; ; attempt += 1) {
    const base = await readBase(attemptDir);
    const chunk = await readOnce(attemptDir, base, range);
    // If the log was rotated during the read, the bytes may belong to another offset.
    if ((await readBase(attemptDir)) === base || attempt === MAX_TRIES) return chunk;
  }
}

/** Reads the end of the log synchronously, because a tick that reads it for 200 agents must not await each small read. */
export function readLogTail(attemptDir: string, bytes: number): Buffer {
  const current = readFileTail(join(attemptDir, "output.log"), bytes);
  const missing = bytes - current.bytes.length;
  const older = missing > 0 ? readFileTail(join(attemptDir, "output.log.1"), missing) : NOTHING;
  // If the log was rotated between the two reads, the older file is the one that was read first.
  return older.inode === current.inode ? current.bytes : Buffer.concat([older.bytes, current.bytes]);
}

const NOTHING = { bytes: Buffer.alloc(0), inode: 0 };

function readFileTail(path: string, maxBytes: number): { readonly bytes: Buffer; readonly inode: number } {
  // Checked first, because a failed open costs ten times as much as a stat.
  if (!statSync(path, { throwIfNoEntry: false })?.size) return NOTHING;
  let file: number;
  try {
    file = openSync(path, "r");
  } catch {
    return NOTHING;
  }
  try {
    const { size, ino } = fstatSync(file);
    const buffer = Buffer.alloc(Math.min(size, maxBytes));
    return { bytes: buffer.subarray(0, readSync(file, buffer, 0, buffer.length, size - buffer.length)), inode: ino };
  } finally {
    closeSync(file);
  }
}

async function readOnce(attemptDir: string, base: number, range: LogRange): Promise<LogChunk> {
  const current = join(attemptDir, "output.log");
  const older = join(attemptDir, "output.log.1");
  const total = base + (await sizeOf(current));
  const oldest = base - (await sizeOf(older));
  const wanted = "tailBytes" in range ? total - range.tailBytes : range.from;
  const from = Math.min(total, Math.max(oldest, wanted));
  const maxBytes = "tailBytes" in range ? range.tailBytes : (range.maxBytes ?? MAX_BYTES);
  const end = Math.min(total, from + maxBytes);
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

async function readBase(attemptDir: string): Promise<number> {
  return Number(await readFile(join(attemptDir, "log.base"), "utf8").catch(() => "0")) || 0;
}

async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => undefined))?.size ?? 0;
}

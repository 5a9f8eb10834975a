/**
 * The evidence folder of a run, on the host that executes it. It is filled during the run and sealed with a manifest of
 * hashes at the end. The commands never write here: the files they leave are copied in.
 */
import { createHash } from "node:crypto";
import { constants, type Dirent } from "node:fs";
import { mkdir, open, readdir, readFile, realpath, rename, rm, writeFile } from "node:fs/promises";
import { extname, join, sep } from "node:path";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { openCommandLog, type CommandLog } from "../command/log-file.ts";
import type { Redactor } from "../domain/text/redact.ts";

export interface EvidenceFolder {
  readonly path: string;
  /** The output of the commands in `output.log`, redacted and limited in size. The file is created on first use. */
  readonly log: CommandLog;
  /** Writes a file into the folder; it becomes an artifact when the run ends. Writing the same name again replaces it. */
  write(name: string, content: string | Buffer, mediaType: string): Promise<void>;
  /** Copies a file that a command left below `root`, or returns why it could not be stored. Text is redacted. */
  collect(root: string, path: string, name: string): Promise<CollectResult>;
}

export interface OpenEvidence extends EvidenceFolder {
  names(): Promise<string[]>;
  /** The media types passed to `write`; for other files the extension determines it. */
  readonly mediaTypes: ReadonlyMap<string, string>;
  /** Refuses further writes, because an aborted executor may still try to write. */
  close(): void;
}

export type CollectResult =
  { readonly saved: true; readonly text: string | undefined } | { readonly saved: false; readonly why: string };

/** One piece of evidence as it goes into the database. */
export interface SealedFile {
  readonly name: string;
  readonly mediaType: string;
  readonly sizeBytes: number;
  /** The hash of the uncompressed content. */
  readonly sha256: string;
  readonly gzipped: Buffer;
}

export const MANIFEST = "evidence.json";
export const LAST_RUN = "last_run.json";
const LOG = "output.log";
/** Names of Fleetwright's own files: a command's file with such a name is not stored. */
const RESERVED: ReadonlySet<string> = new Set([MANIFEST, LAST_RUN, LOG, "order.json", "machine.json"]);

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/;
/** The file must fit into a database row even if compression does not shrink it. */
const MAX_FILE_BYTES = 15 * 1_024 * 1_024;
const MAX_RUN_BYTES = 48 * 1_024 * 1_024;
const MAX_FILES = 200;
const MEDIA_TYPES: Readonly<Record<string, string>> = {
  ".json": "application/json",
  ".xml": "application/xml",
  ".md": "text/markdown",
  ".log": "text/plain",
  ".txt": "text/plain",
  ".csv": "text/csv",
  ".html": "text/html",
  ".info": "text/plain",
  ".tap": "text/plain",
};
const gzipAsync = promisify(gzip);

export function evidenceDir(home: string, productId: string, runId: string): string {
  return join(runsDir(home, productId), runId);
}

export function runsDir(home: string, productId: string): string {
  return join(home, "runs", productId);
}

export function mediaTypeOf(name: string): string {
  return MEDIA_TYPES[extname(name).toLowerCase()] ?? "application/octet-stream";
}

export function sha256Hex(bytes: Buffer | string): string {
  return createHash("sha256").update(bytes).digest("hex");
}

export async function openEvidence(dir: string, redactor: Redactor): Promise<OpenEvidence> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  let log: CommandLog | undefined;
  let closed = false;
  let bytes = 0;
  const savedNames = new Set<string>();
  const mediaTypes = new Map<string, string>();

  async function put(name: string, content: Buffer): Promise<void> {
    if (closed) throw new Error(`The run has ended: ${name} can no longer be written.`);
    if (!NAME.test(name)) throw new Error(`${name} is not a valid evidence name.`);
    await replaceFile(join(dir, name), content);
    savedNames.add(name);
    bytes += content.length;
  }

  return {
    path: dir,
    get log() {
      return (log ??= openCommandLog(join(dir, LOG), redactor));
    },
    mediaTypes,
    async write(name, content, mediaType) {
      await put(name, Buffer.from(content));
      mediaTypes.set(name, mediaType);
    },
    async collect(root, path, name) {
      if (!NAME.test(name)) return { saved: false, why: "its name is not a valid evidence name" };
      if (RESERVED.has(name) || savedNames.has(name))
        return { saved: false, why: "there is already evidence of that name" };
      if (savedNames.size >= MAX_FILES) return { saved: false, why: `there are already ${MAX_FILES} files` };
      const content = await readBelow(root, path);
      if (typeof content === "string") return { saved: false, why: content };
      if (bytes + content.length > MAX_RUN_BYTES) return { saved: false, why: "the run's evidence would be too large" };
      const text = isText(name) ? redactor.redact(content.toString("utf8")) : undefined;
      await put(name, text === undefined ? content : Buffer.from(text));
      return { saved: true, text };
    },
    names: () => listFileNames(dir),
    close() {
      closed = true;
      log?.close();
    },
  };
}

interface SealOptions {
  readonly runId: string;
  readonly at: Date;
  readonly mediaTypes?: ReadonlyMap<string, string>;
}

/**
 * Reads what is there, writes the manifest, and packs everything. The files are recreated while they are read, so that a process
 * that still holds one open (a worker that does not know yet that it lost its claim) no longer changes the evidence.
 */
export async function sealEvidence(dir: string, options: SealOptions): Promise<SealedFile[]> {
  const typeOf = (name: string) => options.mediaTypes?.get(name) ?? mediaTypeOf(name);
  const sealed: SealedFile[] = [];
  for (const name of await listFileNames(dir)) {
    if (name === MANIFEST) continue;
    const content = await readFile(join(dir, name));
    await replaceFile(join(dir, name), content);
    sealed.push(await sealFile(name, typeOf(name), content));
  }
  const files = sealed.map(({ name, mediaType, sizeBytes, sha256 }) => ({
    name,
    media_type: mediaType,
    size_bytes: sizeBytes,
    sha256,
  }));
  const manifest = { schema_version: 1, run_id: options.runId, sealed_at: options.at.toISOString(), files };
  const content = Buffer.from(`${JSON.stringify(manifest, undefined, 2)}\n`);
  await replaceFile(join(dir, MANIFEST), content);
  return [...sealed, await sealFile(MANIFEST, typeOf(MANIFEST), content)];
}

/** Returns the hashes of the files on the disk by name; undefined when the folder does not exist. */
export async function hashEvidence(dir: string): Promise<Map<string, string> | undefined> {
  const names = await listFileNames(dir).catch(() => undefined);
  if (!names) return undefined;
  const hashes = new Map<string, string>();
  for (const name of names) hashes.set(name, sha256Hex(await readFile(join(dir, name))));
  return hashes;
}

/** Replaces a file atomically: readers see either the old file or the new one. */
export async function replaceFile(path: string, content: Buffer | string): Promise<void> {
  const draft = `${path}.${process.pid}.${performance.now()}.draft`;
  try {
    await writeFile(draft, content, { mode: 0o600, flush: true });
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}

async function sealFile(name: string, mediaType: string, content: Buffer): Promise<SealedFile> {
  return {
    name,
    mediaType,
    sizeBytes: content.length,
    sha256: sha256Hex(content),
    gzipped: await gzipAsync(content),
  };
}

async function listFileNames(dir: string): Promise<string[]> {
  const entries: Dirent[] = await readdir(dir, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && !entry.name.endsWith(".draft"))
    .map(({ name }) => name)
    .toSorted();
}

/** Reads a file below `root`, following only links that stay inside, or returns why it cannot be read. */
async function readBelow(root: string, path: string): Promise<Buffer | string> {
  const [real, base] = await Promise.all([realpath(join(root, path)).catch(() => undefined), realpath(root)]);
  if (real === undefined) return "it does not exist";
  if (!real.startsWith(`${base}${sep}`)) return "it is outside of the folder";
  // Opening a pipe would otherwise block until there is a writer.
  const file = await open(real, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const stats = await file.stat();
    if (!stats.isFile()) return "it is not a file";
    if (stats.size > MAX_FILE_BYTES) return `it is larger than ${MAX_FILE_BYTES} bytes`;
    return await file.readFile();
  } finally {
    await file.close();
  }
}

function isText(name: string): boolean {
  const type = mediaTypeOf(name);
  return type.startsWith("text/") || type === "application/json" || type === "application/xml";
}

/** The folder of one attempt: the supervisor's input and output files, and the fence that decides between starting and closing. */
import { closeSync, fsyncSync, openSync, readdirSync, readFileSync, statSync, writeSync } from "node:fs";
import { mkdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { SpawnError, codeOf } from "../../domain/errors.ts";
import type { Usage } from "../../domain/budget.ts";
import type { ExitRecord } from "../../domain/monitor/facts.ts";
import { parseHeartbeat, type Heartbeat } from "../../domain/monitor/heartbeat.ts";
import type { ProcessRef } from "../../command/process-tree.ts";
import { asUser, UnixUser } from "../../command/unix-user.ts";
import { parseJson } from "../../domain/text/json.ts";
import { shellWord } from "../../domain/text/shell-word.ts";
import { attemptRoot, attemptDir } from "../paths.ts";
import { readUsage } from "./usage.ts";

/** What can be known about one dispatch of one attempt without PostgreSQL. It contains neither secrets nor the prompt. */
export const AttemptSpec = z.object({
  taskId: z.string(),
  attempt: z.int(),
  dispatchId: z.string(),
  epoch: z.int(),
  hostId: z.string(),
  bootId: z.string(),
  startedBy: z.string(),
  agentType: z.string(),
  argv: z.array(z.string()).min(1),
  cwd: z.string(),
  repositoryUrl: z.string(),
  branch: z.string(),
  kind: z.enum(["worktree", "clone"]),
  startSha: z.string(),
  baseSha: z.string(),
  /** The Unix user the agent runs as; absent when it runs as the worker's user. */
  unixUser: UnixUser.optional(),
});
export type AttemptSpec = z.infer<typeof AttemptSpec>;

export interface AttemptFiles {
  readonly spec: AttemptSpec;
  readonly prompt: string;
  readonly env: Readonly<Record<string, string>>;
  readonly heartbeatIntervalMs: number;
}

export interface AttemptReport {
  readonly heartbeat: Heartbeat | undefined;
  readonly exit: ExitRecord | undefined;
  /** The agent's process, as the supervisor recorded it. */
  readonly process: ProcessRef | undefined;
  readonly outBytes: number;
  readonly lastOutputAt: Date | undefined;
  readonly usage: Usage | undefined;
  /** Somebody made the fence: the supervisor, or the process that closed the attempt before it. */
  readonly fenced: boolean;
}

export interface OpenAttempt {
  readonly taskId: string;
  readonly attempt: number;
  readonly dir: string;
}

/** The log has two files of at most half this size; older output is dropped. */
const MAX_LOG_BYTES = 20 * 1_024 * 1_024;

/** Writes the folder atomically, by one rename. Repeating a dispatch changes nothing; another dispatch requires that the first one has ended. */
export async function writeAttemptDir(home: string, files: AttemptFiles): Promise<string> {
  const { taskId, attempt, dispatchId } = files.spec;
  const dir = attemptDir(home, taskId, attempt);
  const earlier = await readAttemptSpec(dir);
  if (earlier?.dispatchId !== dispatchId) {
    if (await stat(dir).catch(() => undefined)) await archiveEarlierDispatch(dir, earlier);
    await writeNewDir(dir, files);
  }
  await closeOtherAttemptDirs(home, taskId, attempt);
  await mkdir(openAttemptsRoot(home), { recursive: true, mode: 0o700 });
  await writeFile(join(openAttemptsRoot(home), `${taskId}_${attempt}`), "", { mode: 0o600 });
  return dir;
}

export async function readAttemptSpec(dir: string): Promise<AttemptSpec | undefined> {
  return parseSpec(await readFile(join(dir, "run.json"), "utf8").catch(() => ""));
}

export function readAttemptSpecSync(dir: string): AttemptSpec | undefined {
  return parseSpec(readText(join(dir, "run.json")) ?? "");
}

/** Closes the attempt unless its agent was already started. Creating the fence is atomic, so only one of starting and closing can win. */
export async function fenceAttempt(dir: string): Promise<"closed" | "had-started"> {
  try {
    await mkdir(join(dir, "started"), { mode: 0o700 });
    return "closed";
  } catch (error) {
    if (codeOf(error) === "EEXIST") return "had-started";
    throw error;
  }
}

/** Reads the small files synchronously: for 200 agents that is ten times as fast as awaiting each read. */
export function readAttempt(dir: string): AttemptReport {
  const log = tryStat(join(dir, "output.log"));
  const base = Number(readText(join(dir, "log.base")) ?? "0") || 0;
  const beat = readText(join(dir, "agent.hb"));
  return {
    heartbeat: beat === undefined ? undefined : parseHeartbeat(beat),
    exit: readExit(dir),
    process: parseProcess(readText(join(dir, "process"))),
    outBytes: base + (log?.size ?? 0),
    lastOutputAt: log && base + log.size > 0 ? log.mtime : undefined,
    usage: readUsage(dir),
    fenced: tryStat(join(dir, "started")) !== undefined,
  };
}

export function readExit(dir: string): ExitRecord | undefined {
  return parseExit(readText(join(dir, "exit.json")));
}

/** Lists the attempts that were written and not yet closed. */
export function listOpenAttempts(home: string): OpenAttempt[] {
  const found: OpenAttempt[] = [];
  for (const name of readDirectory(openAttemptsRoot(home))) {
    const [taskId, number] = name.split("_");
    const attempt = Number(number);
    if (!taskId || !Number.isInteger(attempt)) continue;
    found.push({ taskId, attempt, dir: attemptDir(home, taskId, attempt) });
  }
  return found;
}

/** Ends the observation of the attempt; its files stay. */
export async function closeAttemptDir(home: string, taskId: string, attempt: number): Promise<void> {
  await rm(join(openAttemptsRoot(home), `${taskId}_${attempt}`), { force: true });
}

export async function closeOtherAttemptDirs(home: string, taskId: string, except: number | null): Promise<void> {
  for (const open of listOpenAttempts(home)) {
    if (open.taskId === taskId && open.attempt !== except) await closeAttemptDir(home, taskId, open.attempt);
  }
}

/** Requests a heartbeat now. */
export async function touchProbe(dir: string): Promise<void> {
  const path = join(dir, "agent.probe");
  await writeFile(path, "", { mode: 0o600 });
  await utimes(path, new Date(), new Date());
}

/** Overwrites the file before it is unlinked. Copies in the disk's or the system's caches are out of reach, so this is best effort. */
export function shred(path: string): void {
  const size = tryStat(path)?.size;
  if (size === undefined) return;
  const file = openSync(path, "r+");
  try {
    writeSync(file, Buffer.alloc(size), 0, size, 0);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

export async function shredAttemptDir(dir: string): Promise<void> {
  for (const name of ["env", "prompt"]) {
    shred(join(dir, name));
    await rm(join(dir, name), { force: true });
  }
}

async function writeNewDir(dir: string, files: AttemptFiles): Promise<void> {
  const draft = `${dir}.new`;
  await rm(draft, { recursive: true, force: true });
  await mkdir(draft, { recursive: true, mode: 0o700 });
  const write = (name: string, text: string) => writeFile(join(draft, name), text, { mode: 0o600 });
  await write("run.json", JSON.stringify(files.spec));
  await write("run.sh", launchScript(files));
  await write("env", envScript(files.env));
  await write("prompt", files.prompt);
  await mkdir(dirname(dir), { recursive: true, mode: 0o700 });
  await rename(draft, dir);
}

/** Archives the folder of an earlier dispatch of this attempt, which must have ended, because its supervisor would write into the new folder. */
async function archiveEarlierDispatch(dir: string, earlier: AttemptSpec | undefined): Promise<void> {
  const report = readAttempt(dir);
  const isOver = report.exit !== undefined || report.process === undefined;
  if ((await fenceAttempt(dir)) === "had-started" && !isOver) {
    throw new SpawnError(
      "PROCESS_FAILED",
      "prompt",
      "An earlier dispatch of this attempt has not ended: stop it first.",
    );
  }
  await shredAttemptDir(dir);
  await rename(dir, `${dir}~${(earlier?.dispatchId ?? "unknown").slice(-8)}`);
}

function launchScript({ spec, heartbeatIntervalMs }: AttemptFiles): string {
  const settings = [
    `fleet_task=${shellWordWithoutNul(spec.taskId)}`,
    `fleet_cwd=${shellWordWithoutNul(spec.cwd)}`,
    `fleet_interval_ms=${Math.max(50, Math.round(heartbeatIntervalMs))}`,
    `fleet_log_bytes=${MAX_LOG_BYTES}`,
    `fleet_user=${spec.unixUser ? `${spec.unixUser.uid}:${spec.unixUser.gid}` : ""}`,
  ];
  return `${settings.join("\n")}\nset -- ${asUser(spec.unixUser, spec.argv).map(shellWordWithoutNul).join(" ")}\n`;
}

function envScript(env: Readonly<Record<string, string>>): string {
  return Object.entries(env)
    .map(([name, value]) => {
      if (!/^[A-Za-z_]\w*$/.test(name)) {
        throw new SpawnError("PROCESS_FAILED", "prompt", `${JSON.stringify(name)} cannot be an environment variable.`);
      }
      return `export ${name}=${shellWordWithoutNul(value)}\n`;
    })
    .join("");
}

/** A NUL character would end the word in the script, and change what is run. */
function shellWordWithoutNul(text: string): string {
  if (text.includes("\0"))
    throw new SpawnError("PROCESS_FAILED", "prompt", "An argument or variable contains a NUL character.");
  return shellWord(text);
}

const ExitFile = z
  .object({ code: z.int().nullable(), signal: z.string().nullable(), oom: z.boolean(), ended_at: z.coerce.date() })
  .transform(({ ended_at, ...rest }): ExitRecord => ({ ...rest, endedAt: ended_at }));

function parseExit(text: string | undefined): ExitRecord | undefined {
  return text === undefined ? undefined : ExitFile.safeParse(parseJson(text)).data;
}

function parseProcess(text: string | undefined): ProcessRef | undefined {
  const found = /^pid=(\d+) start=(\d+)/.exec(text ?? "");
  return found ? { pid: Number(found[1]), startTime: Number(found[2]) } : undefined;
}

function parseSpec(text: string): AttemptSpec | undefined {
  return AttemptSpec.safeParse(parseJson(text)).data;
}

function openAttemptsRoot(home: string): string {
  return join(attemptRoot(home), ".open");
}

/** Checks for existence first, because most of these files are usually missing, and a failed read costs ten times as much. */
function readText(path: string): string | undefined {
  if (!tryStat(path)) return undefined;
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

function readDirectory(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function tryStat(path: string) {
  return statSync(path, { throwIfNoEntry: false });
}

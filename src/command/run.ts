/** Runs a helper program (git, an installer, a CI command) to its end, with limits on time and output, and leaves nothing running. */
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { execa } from "execa";
import { killTree, type Marker } from "./process-tree.ts";

export interface CommandResult {
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Ended by us because it took too long. */
  readonly timedOut: boolean;
  /** Ended by us because the caller's signal was aborted. */
  readonly aborted: boolean;
  /** Output was longer than the limit: its middle is missing. */
  readonly truncated: boolean;
  readonly durationMs: number;
}

export interface CommandOptions {
  readonly cwd: string;
  /** The whole environment, because nothing of ours is inherited. */
  readonly env: Readonly<Record<string, string>>;
  readonly input?: string;
  readonly timeoutMs: number;
  /** The limit per stream; the beginning and the end are retained, half each. */
  readonly maxOutputBytes?: number;
  readonly signal?: AbortSignal;
  readonly onOutput?: (chunk: Buffer, stream: "stdout" | "stderr") => void;
  /** True for a program that is meant to leave a server running (tmux): then only its descendants are ended. */
  readonly leavesServer?: boolean;
}

const MAX_OUTPUT_BYTES = 4 * 1_024 * 1_024;
const GRACE_MS = 1_000;
/** A grandchild that holds the pipes open would make us wait forever for the end of the output. */
const DRAIN_MS = 250;

/** Throws only when the program cannot be started; a failure of the program is a result. */
export async function runCommand(argv: readonly string[], options: CommandOptions): Promise<CommandResult> {
  const [program, ...args] = argv;
  if (program === undefined) throw new Error("A command needs a program; the list of arguments is empty.");
  if (options.signal?.aborted) return { ...EMPTY_RESULT, aborted: true };

  const marker: Marker = { name: "FLEET_COMMAND", value: randomUUID() };
  const env = options.leavesServer ? options.env : { ...options.env, [marker.name]: marker.value };
  const startedAt = performance.now();
  const child = launch(program, args, { ...options, env });
  const output = collectOutput(child, options);
  const end = await waitForExit(child, options, options.leavesServer ? undefined : marker);
  if (end.failure) throw new Error(describeStartFailure(program, options.cwd, end.failure), { cause: end.failure });
  return {
    exitCode: end.exitCode,
    signal: end.signal,
    stdout: output.stdout.text(),
    stderr: output.stderr.text(),
    timedOut: end.stoppedBy === "timeout",
    aborted: end.stoppedBy === "abort",
    truncated: output.stdout.truncated() || output.stderr.truncated(),
    durationMs: Math.round(performance.now() - startedAt),
  };
}

/** The last lines of a command's output, for the message that reports its failure. */
export function lastLines(text: string, max = 10): string {
  return text.trimEnd().split("\n").slice(-max).join("\n");
}

/** The result of a command that was not started. */
export const EMPTY_RESULT: CommandResult = {
  exitCode: null,
  signal: null,
  stdout: "",
  stderr: "",
  timedOut: false,
  aborted: false,
  truncated: false,
  durationMs: 0,
};

type Child = ReturnType<typeof launch>;

/** Started in its own session and process group, so that all of it can be signalled; stdin is always closed. */
function launch(program: string, args: readonly string[], { cwd, env, input }: CommandOptions) {
  return execa(program, args, {
    cwd,
    env,
    extendEnv: false,
    reject: false,
    buffer: false,
    detached: true,
    input: input ?? "",
  });
}

interface ChildExit {
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly stoppedBy: "timeout" | "abort" | undefined;
  readonly failure: Error | undefined;
}

async function waitForExit(child: Child, options: CommandOptions, marker: Marker | undefined): Promise<ChildExit> {
  let stopped: ChildExit["stoppedBy"];
  let killing: Promise<unknown> | undefined;
  const end = (why: "timeout" | "abort") => {
    if (stopped !== undefined || child.pid === undefined) return;
    stopped = why;
    killing = killTree([{ pid: child.pid }], { graceMs: GRACE_MS, ...(marker ? { marker } : {}) });
  };
  const timer = setTimeout(() => end("timeout"), options.timeoutMs);
  const onAbort = () => end("abort");
  options.signal?.addEventListener("abort", onAbort, { once: true });
  child.once("exit", () => {
    setTimeout(() => closePipes(child), DRAIN_MS).unref();
  });
  try {
    const result = await child;
    await killing;
    await killGroup(child.pid);
    return {
      exitCode: result.exitCode ?? null,
      signal: result.signal ?? null,
      stoppedBy: stopped,
      failure: child.pid === undefined ? toStartError(result.cause) : undefined,
    };
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", onAbort);
  }
}

function toStartError(cause: unknown): Error {
  return cause instanceof Error ? cause : new Error("it did not start", { cause });
}

/** Ends what the command started in the background. Checking the group costs one system call. */
async function killGroup(pid: number | undefined): Promise<void> {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
    for (let round = 0; round < 50; round += 1) {
      await pause(5);
      process.kill(-pid, 0);
    }
  } catch {
    // The group is empty, which is the usual case at the first call.
  }
}

function closePipes(child: Child): void {
  child.stdout?.destroy();
  child.stderr?.destroy();
}

function collectOutput(child: Child, options: CommandOptions) {
  const maxBytes = options.maxOutputBytes ?? MAX_OUTPUT_BYTES;
  const streams = { stdout: openCappedBuffer(maxBytes), stderr: openCappedBuffer(maxBytes) };
  for (const name of ["stdout", "stderr"] as const) {
    child[name]?.on("data", (chunk: Buffer) => {
      streams[name].add(chunk);
      options.onOutput?.(chunk, name);
    });
  }
  return streams;
}

/** Retains the first and the last half of the limit, because causes often are at the beginning and errors at the end. */
function openCappedBuffer(maxBytes: number) {
  const half = Math.floor(maxBytes / 2);
  const head: Buffer[] = [];
  let tail: Buffer[] = [];
  let headBytes = 0;
  let tailBytes = 0;
  let dropped = 0;
  const trim = () => {
    const joined = Buffer.concat(tail);
    dropped += joined.length - half;
    tail = [joined.subarray(joined.length - half)];
    tailBytes = half;
  };
  return {
    add(chunk: Buffer): void {
      const room = Math.max(0, half - headBytes);
      if (room > 0) {
        const first = chunk.subarray(0, room);
        head.push(first);
        headBytes += first.length;
      }
      if (chunk.length <= room) return;
      tail.push(chunk.subarray(room));
      tailBytes += chunk.length - room;
      if (tailBytes > maxBytes) trim();
    },
    truncated: () => dropped > 0,
    text(): string {
      if (tailBytes > half) trim();
      const gap = dropped > 0 ? [Buffer.from(`\n… ${dropped} bytes left out …\n`)] : [];
      return Buffer.concat([...head, ...gap, ...tail]).toString("utf8");
    },
  };
}

function describeStartFailure(program: string, cwd: string, failure: Error): string {
  const code = "code" in failure ? failure.code : undefined;
  if (code === "ENOENT") return `${program} cannot be started: no such program on PATH, or no directory ${cwd}.`;
  if (code === "EACCES") return `${program} cannot be started: it is not executable, or ${cwd} may not be entered.`;
  if (code === "E2BIG") return `${program} cannot be started: its arguments and environment are too long.`;
  return `${program} cannot be started: ${failure.message}`;
}

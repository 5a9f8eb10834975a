/** One process of the fleet: `fleet worker` or `fleet web`, started, watched and signalled by its pid. */
import { spawn, type ChildProcess } from "node:child_process";
import { createWriteStream } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { builtProgram } from "../support/built.ts";

/** What a process reported when a fault was injected (see src/processes/faults.ts). */
export interface FaultHit {
  readonly point: string;
  /** The task or notification that was being processed. */
  readonly subject: string | undefined;
  readonly at: number;
}

export interface ProcessExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly at: number;
}

export interface Program {
  readonly name: string;
  readonly pid: number;
  readonly startedAt: number;
  /** Resolves when the process reports that it is ready. Rejects when it exits before. */
  readonly ready: Promise<void>;
  readonly ended: Promise<ProcessExit>;
  isOver(): boolean;
  /** When and where the fault was injected; undefined until then. */
  struck(): FaultHit | undefined;
  signal(signal: NodeJS.Signals): void;
}

export interface ProgramOptions {
  readonly name: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly logFile: string;
}

/** Built together with this program, or by the test run. */
const programFile = () =>
  import.meta.url.endsWith(".ts") ? builtProgram() : fileURLToPath(new URL("../../src/cli/bin.js", import.meta.url));

const READY_MESSAGES = new Set(["working", "listening", "ready"]);

export function startProgram({ name, args, env, cwd, logFile }: ProgramOptions): Program {
  const child: ChildProcess = spawn(process.execPath, [programFile(), ...args], {
    cwd,
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const log = createWriteStream(logFile, { flags: "a" });
  let struck: FaultHit | undefined;
  let over = false;
  let resolveReady: (() => void) | undefined;
  const ready = new Promise<void>((resolve, reject) => {
    resolveReady = resolve;
    child.once("exit", (code, signal) =>
      reject(new Error(`${name} ended with ${code ?? signal} before it was ready: see ${logFile}`)),
    );
  });
  ready.catch(() => undefined);
  // Ended only once its output is read completely: at the exit the line that reports the fault may still be in the
  // pipe.
  const ended = new Promise<ProcessExit>((resolve) => {
    let at = 0;
    child.once("exit", () => {
      over = true;
      at = Date.now();
    });
    child.once("close", (code, signal) => {
      log.end();
      setImmediate(() => resolve({ code, signal, at: at || Date.now() }));
    });
  });
  for (const stream of [child.stdout, child.stderr]) {
    if (!stream) continue;
    createInterface({ input: stream }).on("line", (line) => {
      if (!log.writableEnded) log.write(`${line}\n`);
      const entry = parseLogLine(line);
      if (entry?.fault) struck = { point: entry.fault, subject: entry.subject, at: Date.now() };
      if (entry?.msg && READY_MESSAGES.has(entry.msg)) resolveReady?.();
    });
  }
  return {
    name,
    pid: child.pid ?? -1,
    startedAt: Date.now(),
    ready,
    ended,
    isOver: () => over,
    struck: () => struck,
    signal(signal) {
      if (!over) child.kill(signal);
    },
  };
}

interface LogLine {
  readonly msg?: string;
  readonly fault?: string;
  readonly subject?: string;
}

function parseLogLine(line: string): LogLine | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    const parsed: unknown = JSON.parse(line);
    return typeof parsed === "object" && parsed !== null ? parsed : undefined;
  } catch {
    return undefined;
  }
}

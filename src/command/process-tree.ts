/** The process table of this host (Linux /proc): what runs, which process descends from which, and how to end a whole tree reliably. */
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";

export interface ProcessInfo {
  readonly pid: number;
  readonly ppid: number;
  readonly pgid: number;
  readonly session: number;
  /** One letter as in ps: R, S, D, T (stopped), Z (zombie), … */
  readonly state: string;
  /** Kernel start time in clock ticks since boot; with the pid it identifies one process uniquely. */
  readonly startTime: number;
  readonly cpuMs: number;
  /** The CPU time of children that have ended and were waited for. */
  readonly endedChildrenCpuMs: number;
  readonly rssBytes: number;
}

export interface ProcessRef {
  readonly pid: number;
  /** Undefined when it was not recorded; then a reused pid cannot be distinguished from the intended process. */
  readonly startTime?: number | undefined;
}

/** An environment variable that a process and all its descendants carry: it finds those that left the group and the session. */
export interface Marker {
  readonly name: string;
  readonly value: string;
}

/** Linux has reported times to user space in 1/100 s on every architecture Node runs on. */
const TICK_MS = 10;
const PAGE_BYTES = 4_096;
const POLL_MS = 20;
/** After SIGKILL only uninterruptible sleep can delay the end of a process; two seconds distinguish that from a slow machine. */
const KILL_WAIT_MS = 2_000;

/** Reads in one synchronous pass: 1,000 processes take about 10 ms, far less than the same reads awaited one by one. */
export function listProcesses(): ProcessInfo[] {
  const found: ProcessInfo[] = [];
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid)) continue;
    const info = readProcess(pid);
    if (info) found.push(info);
  }
  return found;
}

export function readProcess(pid: number): ProcessInfo | undefined {
  let line: string;
  try {
    line = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch {
    return undefined;
  }
  // The program's name is in parentheses and may itself contain parentheses, so the fields start after the last one.
  const fields = line.slice(line.lastIndexOf(")") + 2).split(" ");
  const number = (at: number) => Number(fields[at]);
  return {
    pid,
    state: fields[0] ?? "?",
    ppid: number(1),
    pgid: number(2),
    session: number(3),
    cpuMs: (number(11) + number(12)) * TICK_MS,
    endedChildrenCpuMs: (number(13) + number(14)) * TICK_MS,
    startTime: number(19),
    rssBytes: number(21) * PAGE_BYTES,
  };
}

/** A zombie is not alive: it runs nothing and only waits to be reaped. */
export function isAlive(pid: number, startTime?: number): boolean {
  const info = readProcess(pid);
  return info !== undefined && isRunning(info, startTime);
}

/** All descendants of `pid`, without itself. */
export function descendants(pid: number, processes: readonly ProcessInfo[] = listProcesses()): ProcessInfo[] {
  const children = new Map<number, ProcessInfo[]>();
  for (const info of processes) {
    const siblings = children.get(info.ppid);
    if (siblings) siblings.push(info);
    else children.set(info.ppid, [info]);
  }
  const found: ProcessInfo[] = [];
  const open = [pid];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    for (const child of children.get(at) ?? []) {
      found.push(child);
      open.push(child.pid);
    }
  }
  return found;
}

/** Processes whose environment at start contained the marker. Those of other users cannot be read and are not found. */
export function findMarked(marker: Marker, processes: readonly ProcessInfo[] = listProcesses()): ProcessInfo[] {
  const wanted = `${marker.name}=${marker.value}`;
  return processes.filter((info) => readEnvironment(info.pid).includes(wanted));
}

export interface KillOptions {
  /** The time between SIGTERM and SIGKILL; 0 kills at once. */
  readonly graceMs: number;
  readonly marker?: Marker;
}

export interface KillResult {
  readonly signalled: readonly ProcessInfo[];
  /** The processes that survived SIGKILL; empty when all ended. */
  readonly survivors: readonly ProcessInfo[];
}

/**
 * Ends the processes, their groups and sessions, all descendants and every process with the marker. Scans again until nothing
 * is found, because a process that is being killed may still fork.
 */
export async function killTree(roots: readonly ProcessRef[], options: KillOptions): Promise<KillResult> {
  const scanner = openTreeScanner(roots, options.marker);
  if (options.graceMs > 0) {
    signalAll(scanner.scan(), "SIGTERM");
    await waitUntilEnded(scanner, options.graceMs);
  }
  const deadline = performance.now() + KILL_WAIT_MS;
  for (let left = scanner.scan(); left.length > 0 && performance.now() < deadline; left = scanner.scan()) {
    signalAll(left, "SIGKILL");
    await pause(POLL_MS);
  }
  return { signalled: [...scanner.seen.values()], survivors: scanner.scan() };
}

/** Sends one signal to the whole tree, which pausing and resuming need; returns the processes that received it. */
export function signalTree(
  roots: readonly ProcessRef[],
  signal: "SIGSTOP" | "SIGCONT" | "SIGTERM",
  marker?: Marker,
): readonly ProcessInfo[] {
  const targets = openTreeScanner(roots, marker).scan();
  signalAll(targets, signal);
  return targets;
}

/** How often a tree that is being stopped is scanned again; the next scan finds what forked in between. */
const MAX_SCANS = 20;

/** Stops the whole tree, and every process forked meanwhile; true when nothing of it runs any more. */
export function freezeTree(roots: readonly ProcessRef[], marker: Marker): boolean {
  const scanner = openTreeScanner(roots, marker);
  for (let round = 0; round < MAX_SCANS; round += 1) {
    const moving = scanner.scan().filter(({ state }) => state !== "T" && state !== "t");
    if (moving.length === 0) return true;
    signalAll(moving, "SIGSTOP");
  }
  return false;
}

interface TreeScanner {
  readonly seen: Map<number, ProcessInfo>;
  scan: () => ProcessInfo[];
}

/** Remembers every process it has seen, so that a child whose parent has ended is still known by its group or session. */
function openTreeScanner(roots: readonly ProcessRef[], marker: Marker | undefined): TreeScanner {
  const seen = new Map<number, ProcessInfo>();
  const scan = (): ProcessInfo[] => {
    const processes = listProcesses();
    const protectedPids = selfAndAncestors(processes);
    const targets = new Map<number, ProcessInfo>();
    const add = (info: ProcessInfo) => {
      if (info.state !== "Z" && info.state !== "X" && !protectedPids.has(info.pid)) targets.set(info.pid, info);
    };
    for (const info of findMembers(roots, seen, processes)) {
      add(info);
      for (const below of descendants(info.pid, processes)) add(below);
    }
    if (marker) for (const info of findMarked(marker, processes)) add(info);
    for (const info of targets.values()) seen.set(info.pid, info);
    return [...targets.values()];
  };
  return { seen, scan };
}

function findMembers(
  roots: readonly ProcessRef[],
  seen: ReadonlyMap<number, ProcessInfo>,
  processes: readonly ProcessInfo[],
): ProcessInfo[] {
  const leaders = new Set<number>();
  const isRoot = (info: ProcessInfo) =>
    roots.some((root) => root.pid === info.pid && startTimeMatches(info, root.startTime));
  for (const info of processes) if (isRoot(info) && info.pgid === info.pid) leaders.add(info.pid);
  // A group or session outlives its leader; its number is not reused while it has a member.
  for (const info of seen.values()) if (info.pgid === info.pid) leaders.add(info.pid);
  return processes.filter((info) => {
    if (isRoot(info) || leaders.has(info.pgid) || leaders.has(info.session)) return true;
    return seen.get(info.pid)?.startTime === info.startTime;
  });
}

/** This process and its ancestors are never the target, whatever the markers match. */
function selfAndAncestors(processes: readonly ProcessInfo[]): Set<number> {
  const parents = new Map(processes.map((info) => [info.pid, info.ppid]));
  const pids = new Set<number>([0, 1]);
  for (let at: number | undefined = process.pid; at !== undefined && !pids.has(at); at = parents.get(at)) pids.add(at);
  return pids;
}

async function waitUntilEnded(scanner: TreeScanner, graceMs: number): Promise<void> {
  const deadline = performance.now() + graceMs;
  while (scanner.scan().length > 0 && performance.now() < deadline) await pause(POLL_MS);
}

function signalAll(targets: readonly ProcessInfo[], signal: NodeJS.Signals): void {
  for (const { pid } of targets) {
    try {
      process.kill(pid, signal);
    } catch {
      // It ended between the scan and the signal, or is not ours; the next scan shows which.
    }
  }
  // A stopped process does not act on SIGTERM until it is continued.
  if (signal === "SIGTERM") signalAll(targets, "SIGCONT");
}

function isRunning(info: ProcessInfo, startTime: number | undefined): boolean {
  return info.state !== "Z" && info.state !== "X" && startTimeMatches(info, startTime);
}

function startTimeMatches(info: ProcessInfo, startTime: number | undefined): boolean {
  return startTime === undefined || info.startTime === startTime;
}

/** The environment from when the process started its program; empty when it may not be read. */
export function readEnvironment(pid: number): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, "latin1").split("\0");
  } catch {
    return [];
  }
}

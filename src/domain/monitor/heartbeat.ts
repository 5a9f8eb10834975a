/** Heartbeat protocol v1: one line, written by the supervisor, from which all other parts tell whether an agent is alive. */

export interface Heartbeat {
  readonly ts: Date;
  readonly pid: number;
  readonly status: "ok" | "busy";
  /** Further key=value pairs: child, start (kernel start time), cpu_ms, out_bytes, last_output, …; unknown ones are preserved. */
  readonly extra: Readonly<Record<string, string>>;
}

export type Health = "healthy" | "stale" | "unknown";

/** Returns undefined when the line is malformed: an unreadable heartbeat counts as none. */
export function parseHeartbeat(line: string): Heartbeat | undefined {
  if (line.length > 4_096) return undefined;
  const pairs = new Map<string, string>();
  for (const word of line.trim().split(/\s+/)) {
    const at = word.indexOf("=");
    if (at <= 0) return undefined;
    pairs.set(word.slice(0, at), word.slice(at + 1));
  }
  const ts = new Date(pairs.get("ts") ?? "");
  const pid = Number(pairs.get("pid"));
  const status = pairs.get("status");
  if (Number.isNaN(ts.getTime()) || !Number.isSafeInteger(pid) || pid <= 0) return undefined;
  if (status !== "ok" && status !== "busy") return undefined;
  for (const known of ["ts", "pid", "status"]) pairs.delete(known);
  return { ts, pid, status, extra: Object.fromEntries(pairs) };
}

/** The one rule that ps, monitor and dashboard share. A heartbeat from the future (> 2 intervals ahead) proves nothing. */
export function healthOf(ts: Date | undefined, intervalMs: number, now: Date): Health {
  if (!ts) return "unknown";
  const ageMs = now.getTime() - ts.getTime();
  if (ageMs < -2 * intervalMs) return "unknown";
  return ageMs <= 3 * intervalMs ? "healthy" : "stale";
}

/** What hosts observe about one agent. Facts never decide; rules do. */
import { z } from "zod";

export const ExitRecord = z.object({
  code: z.int().nullable(),
  signal: z.string().nullable(),
  oom: z.boolean(),
  endedAt: z.coerce.date(),
});
export type ExitRecord = z.infer<typeof ExitRecord>;

export const AgentFacts = z.object({
  taskId: z.uuid(),
  attempt: z.int().min(0),
  dispatchId: z.uuid(),
  /** `unknown`: the probe itself failed, which proves nothing. */
  pane: z.enum(["alive", "dead", "missing", "unknown"]),
  process: z.enum(["alive", "dead", "unknown"]),
  pid: z.int().nullable(),
  heartbeatAt: z.date().nullable(),
  heartbeatStatus: z.enum(["ok", "busy"]).nullable(),
  exit: ExitRecord.nullable(),
  outBytes: z.int().min(0),
  cpuMs: z.int().min(0),
  lastOutputAt: z.date().nullable(),
  /** Tip of the task's branch in the mirror; null when it cannot be told. */
  headSha: z.string().nullable(),
  commitsAhead: z.int().min(0),
  /** What the agent says that it has used; left out when it says nothing. */
  usage: z.object({ tokens: z.number().nullable(), cost: z.number().nullable() }).optional(),
  observedAt: z.date(),
});
export type AgentFacts = z.infer<typeof AgentFacts>;

/** The facts as the store keeps them: with what only the sequence of observations tells. */
export const StoredAgentFacts = AgentFacts.extend({
  host: z.string(),
  /** When output, CPU time or commits last moved. */
  progressAt: z.date(),
  nudgedAt: z.date().nullable(),
  /** Consecutive observations in which both process and pane were gone. */
  deadProbes: z.int().min(0),
  needsInput: z.record(z.string(), z.unknown()).nullable(),
});
export type StoredAgentFacts = z.infer<typeof StoredAgentFacts>;

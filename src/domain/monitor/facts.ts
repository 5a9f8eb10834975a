/** What hosts observe about one agent. The facts contain no decisions; the rules make those. */
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
  /** `unknown` means that the probe itself failed, which proves nothing. */
  pane: z.enum(["alive", "dead", "missing", "unknown"]),
  process: z.enum(["alive", "dead", "unknown"]),
  pid: z.int().nullable(),
  heartbeatAt: z.date().nullable(),
  heartbeatStatus: z.enum(["ok", "busy"]).nullable(),
  exit: ExitRecord.nullable(),
  outBytes: z.int().min(0),
  cpuMs: z.int().min(0),
  lastOutputAt: z.date().nullable(),
  /** The head of the task's branch in the mirror; null when it is not known. */
  headSha: z.string().nullable(),
  commitsAhead: z.int().min(0),
  /** The usage that the agent reports; absent when it reports none. */
  usage: z.object({ tokens: z.number().nullable(), cost: z.number().nullable() }).optional(),
  observedAt: z.date(),
});
export type AgentFacts = z.infer<typeof AgentFacts>;

/** The facts as stored, with values that only a sequence of observations can give. */
export const StoredAgentFacts = AgentFacts.extend({
  host: z.string(),
  /** When output, CPU time or commits last increased. */
  progressAt: z.date(),
  nudgedAt: z.date().nullable(),
  /** Consecutive observations in which neither process nor pane was alive. */
  deadProbes: z.int().min(0),
  needsInput: z.record(z.string(), z.unknown()).nullable(),
});
export type StoredAgentFacts = z.infer<typeof StoredAgentFacts>;

/** fleet.yaml `monitor`, `pr` and `review`: how long the monitor waits, and who opens and decides. */
import { z } from "zod";
import { Minutes } from "../product.ts";
import { Ms, patienceSetting } from "./schemas.ts";

export const MonitorSettings = z.strictObject({
  stallMinutes: Minutes.default(10).describe("without commit, output or CPU: nudged; as long again: failed"),
  spawnTimeoutMs: Ms.min(1).default(120_000).describe("from the claim to the first heartbeat"),
  heartbeatIntervalMs: Ms.min(100).default(15_000),
  hostGraceMs: Ms.default(120_000).describe("after a host's lease ran out, before its agents count as lost"),
  ciTimeoutMs: Ms.min(1).default(3_600_000).describe("a pull request whose checks never come in fails"),
  ciReruns: z.int().min(0).max(10).default(2).describe("runs repeated when the environment, not the product, failed"),
  needsInput: patienceSetting(1_440, "fail"),
  waitingQuota: patienceSetting(1_440, "fail"),
  operatorAttached: patienceSetting(720, "hold"),
  paused: patienceSetting(10_080, "hold"),
});

export const PullRequestSettings = z
  .strictObject({
    open: z.enum(["either", "agent", "fleet"]).default("either").describe("who opens the pull request"),
    merge: z.enum(["squash", "merge"]).default("squash"),
  })
  .prefault({});

export const ReviewSettings = z
  .strictObject({
    requiredApprovals: z.int().min(0).max(16).default(1),
    timeoutMinutes: Minutes.default(30),
    onTimeout: z.enum(["ready", "hold"]).default("ready").describe("ready: with a warning, never merged by itself"),
    maxRounds: z.int().min(1).max(20).default(5),
  })
  .prefault({});

export interface MonitorPolicy {
  readonly monitor: z.infer<typeof MonitorSettings>;
  readonly pr: z.infer<typeof PullRequestSettings>;
  readonly review: z.infer<typeof ReviewSettings>;
  readonly autoMerge: boolean;
}

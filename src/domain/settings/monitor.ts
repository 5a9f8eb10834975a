/** fleet.yaml `monitor`, `pr` and `review`: how long the monitor waits, who opens pull requests, and how reviews are decided. */
import { z } from "zod";
import { Minutes } from "../product.ts";
import { Ms, waitLimitSetting } from "./schemas.ts";

export const MonitorSettings = z.strictObject({
  stallMinutes: Minutes.default(10).describe(
    "without commit, output or CPU time the agent is nudged, and after the same time again the attempt fails",
  ),
  spawnTimeoutMs: Ms.min(1).default(120_000).describe("time from the claim to the first heartbeat"),
  heartbeatIntervalMs: Ms.min(100).default(15_000),
  hostGraceMs: Ms.default(120_000).describe("time after a host's lease expires before its agents count as lost"),
  ciTimeoutMs: Ms.min(1).default(3_600_000).describe("a pull request without check results after this time fails"),
  ciReruns: z
    .int()
    .min(0)
    .max(10)
    .default(2)
    .describe("how often checks are repeated when the environment failed, not the product"),
  needsInput: waitLimitSetting(1_440, "fail"),
  waitingQuota: waitLimitSetting(1_440, "fail"),
  operatorAttached: waitLimitSetting(720, "hold"),
  paused: waitLimitSetting(10_080, "hold"),
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
    onTimeout: z
      .enum(["ready", "hold"])
      .default("ready")
      .describe("ready: with a warning, and never merged automatically"),
    maxRounds: z.int().min(1).max(20).default(5),
  })
  .prefault({});

export interface MonitorPolicy {
  readonly monitor: z.infer<typeof MonitorSettings>;
  readonly pr: z.infer<typeof PullRequestSettings>;
  readonly review: z.infer<typeof ReviewSettings>;
  readonly autoMerge: boolean;
}

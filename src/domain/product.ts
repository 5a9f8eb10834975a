/** A product: a repository that Fleetwright maintains. It is declared in fleet.yaml; thanks to the defaults a repository and two commands are enough. */
import { z } from "zod";
import { SYSTEM_TENANT } from "./tenant.ts";

export const Slug = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_-]{0,63}$/, "must be lower-case letters, digits, - or _ (at most 64)");
export const Minutes = z.number().positive().max(10_080);
export const NonEmptyText = z
  .string()
  .min(1)
  .max(4_096)
  .refine((text) => !text.includes("\0"), "must not contain NUL characters");

/** A program with its arguments; a string is a command line for `sh`. */
export const Argv = z.union(
  [NonEmptyText.transform((line) => ["sh", "-c", line]), z.array(NonEmptyText).min(1).max(64)],
  {
    error: "must be a command line or a list of program and arguments",
  },
);

export const ProductStatus = z.enum([
  "bootstrap",
  "active",
  "pending",
  "development",
  "planned",
  "deprecated",
  "archived",
]);
export type ProductStatus = z.infer<typeof ProductStatus>;

/** The statuses for which the planner creates orders. */
export const PLANNABLE_STATUSES: readonly ProductStatus[] = ["bootstrap", "active", "development", "deprecated"];

export const Criticality = z.enum(["high", "medium", "low"]);
export type Criticality = z.infer<typeof Criticality>;

/** A path below the working copy, where a command writes a file that is kept as evidence. */
const RelativePath = NonEmptyText.max(512).refine(
  (path) => !path.startsWith("/") && !path.split("/").includes(".."),
  "must be a path below the repository, without ..",
);

const EvidenceFile = z.strictObject({
  path: RelativePath.describe(
    "a file that the command writes in the working copy; the last part of the path names the evidence",
  ),
  of: z.enum(["validate", "test"]).default("test").describe("which command writes it"),
  required: z.boolean().default(true).describe("false: a missing file does not fail the run"),
});

export const Product = z.strictObject({
  id: Slug,
  name: z.string().min(1).max(200).optional(),
  repository: NonEmptyText.max(1_024).describe("path or URL"),
  baseBranch: NonEmptyText.max(128).default("main").describe("the branch whose head its orders run on"),
  tenant: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._@-]{0,119}$/, "must be letters, digits and . _ @ - (at most 120)")
    .default(SYSTEM_TENANT),
  owner: z.string().min(1).max(200).optional().describe("the person or team responsible for it"),
  status: ProductStatus.default("active"),
  criticality: Criticality.default("medium"),
  slaTier: z.int().min(1).max(5).default(3).describe("1: checked most often, 5: least often"),
  enabled: z.boolean().default(true).describe("false: nothing is planned for it"),
  killSwitch: z
    .strictObject({ enabled: z.boolean().default(false), reason: z.string().max(500).default("") })
    .refine((kill) => !kill.enabled || kill.reason.trim() !== "", {
      path: ["reason"],
      message: "give the reason why it is stopped",
    })
    .prefault({})
    .describe("stops planning and execution at once; fleet products kill does the same without editing the file"),
  commands: z
    .strictObject({ setup: Argv.optional(), validate: Argv.optional(), test: Argv.optional() })
    .prefault({})
    .describe("set up the product, and check its pull requests and orders"),
  evidence: z.array(EvidenceFile).max(64).default([]).describe("files that its commands write, kept with each run"),
  transient: z
    .strictObject({
      exitCodes: z.array(z.int().min(1).max(255)).max(32).default([75]),
      outputs: z.array(NonEmptyText.max(200)).max(32).default([]).describe("plain text, not a pattern"),
    })
    .prefault({})
    .describe(
      "failures of validate and test that are retried once, in addition to time-outs, kills and network failures",
    ),
  trusted: z.boolean().default(false).describe("agents may run with their permission prompts bypassed"),
  ci: z
    .strictObject({
      timeoutMinutes: Minutes.default(15).describe("for each command"),
      required: z.boolean().default(true).describe("false: a failing check is shown but does not fail the task"),
    })
    .prefault({}),
});
export type Product = z.infer<typeof Product>;

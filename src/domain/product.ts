/** A product: what the factory looks after. Declared in fleet.yaml; its defaults make a repository with two commands enough. */
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

/** A program and its arguments; a string is a line for `sh`. */
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

/** Those that are planned for: there is something to validate, and somebody who cares. */
export const PLANNABLE_STATUSES: readonly ProductStatus[] = ["bootstrap", "active", "development", "deprecated"];

export const Criticality = z.enum(["high", "medium", "low"]);
export type Criticality = z.infer<typeof Criticality>;

/** A path below the working copy: what a command leaves there is kept as evidence. */
const RelativePath = NonEmptyText.max(512).refine(
  (path) => !path.startsWith("/") && !path.split("/").includes(".."),
  "must be a path below the repository, without ..",
);

const EvidenceFile = z.strictObject({
  path: RelativePath.describe("a file the command leaves in the working copy; its last part is the evidence's name"),
  of: z.enum(["validate", "test"]).default("test").describe("which command leaves it"),
  required: z.boolean().default(true).describe("false: kept when it is there, not missed when it is not"),
});

export const Product = z.strictObject({
  id: Slug,
  name: z.string().min(1).max(200).optional(),
  repository: NonEmptyText.max(1_024).describe("path or URL"),
  baseBranch: NonEmptyText.max(128).default("main").describe("what its orders run on the head of"),
  tenant: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._@-]{0,119}$/, "must be letters, digits and . _ @ - (at most 120)")
    .default(SYSTEM_TENANT),
  owner: z.string().min(1).max(200).optional().describe("who answers for it: a person or a team"),
  status: ProductStatus.default("active"),
  criticality: Criticality.default("medium"),
  slaTier: z.int().min(1).max(5).default(3).describe("1: looked at most often, 5: least"),
  enabled: z.boolean().default(true).describe("false: nothing is planned for it"),
  killSwitch: z
    .strictObject({ enabled: z.boolean().default(false), reason: z.string().max(500).default("") })
    .refine((kill) => !kill.enabled || kill.reason.trim() !== "", {
      path: ["reason"],
      message: "say why it is stopped",
    })
    .prefault({})
    .describe("stops planning and execution at once; fleet products kill does the same without the file"),
  commands: z
    .strictObject({ setup: Argv.optional(), validate: Argv.optional(), test: Argv.optional() })
    .prefault({})
    .describe("what sets the product up, and what its pull requests and its orders are checked with"),
  evidence: z.array(EvidenceFile).max(64).default([]).describe("files that its commands leave, kept with each run"),
  transient: z
    .strictObject({
      exitCodes: z.array(z.int().min(1).max(255)).max(32).default([75]),
      outputs: z.array(NonEmptyText.max(200)).max(32).default([]).describe("plain text, not a pattern"),
    })
    .prefault({})
    .describe(
      "failures of validate and test that are tried once more, beside time-outs, kills and a network that is away",
    ),
  trusted: z.boolean().default(false).describe("agents may run with their permission prompts bypassed"),
  ci: z
    .strictObject({
      timeoutMinutes: Minutes.default(15).describe("for each command"),
      required: z.boolean().default(true).describe("false: a red check is shown but does not fail the task"),
    })
    .prefault({}),
});
export type Product = z.infer<typeof Product>;

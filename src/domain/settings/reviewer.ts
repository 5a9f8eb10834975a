/** fleet.yaml `reviewers`: who reviews a pull request. */
import { z } from "zod";
import { Argv, Minutes, Slug } from "../product.ts";
import { perTaskType, unique } from "./schemas.ts";

export const Reviewer = z
  .strictObject({
    name: Slug,
    type: z.enum(["command", "stub", "claude_code", "codex", "gemini"]),
    role: z.string().min(1).max(200).default("review").describe("what it looks for"),
    command: Argv.optional().describe(
      "for type command: the prompt arrives on its stdin, a JSON verdict is its output",
    ),
    script: z.string().max(64).optional().describe("for type stub: which behaviour it plays"),
    timeoutMinutes: Minutes.default(10),
  })
  .refine((reviewer) => reviewer.type !== "command" || reviewer.command !== undefined, {
    path: ["command"],
    message: "is needed for a reviewer of type command",
  });
export type Reviewer = z.infer<typeof Reviewer>;

const Reviewers = z.array(Reviewer).max(16).superRefine(unique("name"));

export const ReviewerLists = z.union([
  Reviewers.transform((list) => ({ default: list })),
  perTaskType(Reviewers, Reviewers.default([])),
]);

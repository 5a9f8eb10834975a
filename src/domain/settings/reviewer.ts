/** fleet.yaml `reviewers`: who reviews a pull request. */
import { z } from "zod";
import { Argv, Minutes, Slug } from "../product.ts";
import { AGENT_TYPES, namesWith } from "../task/agent-types.ts";
import { perTaskType, unique } from "./schemas.ts";

export function reviewerSettings<Type extends z.ZodType<string>>(type: Type) {
  return z
    .strictObject({
      name: Slug,
      type,
      role: z.string().min(1).max(200).default("review").describe("what it looks for"),
      command: Argv.optional().describe(
        "for type command: the prompt arrives on its stdin, a JSON verdict is its output",
      ),
      script: z.string().max(64).optional().describe("for type stub: which behaviour it plays"),
      timeoutMinutes: Minutes.default(10),
    })
    .refine((reviewer: object) => !("type" in reviewer && reviewer.type === "command") || "command" in reviewer, {
      path: ["command"],
      message: "is needed for a reviewer of type command",
    });
}

export const Reviewer = reviewerSettings(z.enum(namesWith(AGENT_TYPES, "mayReview")));
export type Reviewer = z.infer<typeof Reviewer>;

/** One list for all task types, or one per type. */
export function reviewerLists<One extends z.ZodType<{ readonly name: string }>>(reviewer: One) {
  const list = z.array(reviewer).max(16).superRefine(unique("name"));
  return z.union([list.transform((entries) => ({ default: entries })), perTaskType(list, list.default([]))]);
}

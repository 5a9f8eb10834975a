/** The request for a new task, as CLI, API and scripts send it. */
import { z } from "zod";
import { isBranchName } from "./branch.ts";
import { TaskBudget } from "../budget.ts";
import { AgentType, TaskType } from "./task.ts";

/** Text without NUL, which PostgreSQL refuses, and without lone surrogates, which UTF-8 cannot represent. */
const Text = (maxChars: number) =>
  z
    .string()
    .trim()
    .min(1)
    .max(maxChars)
    .refine((text) => !text.includes("\0"), "must not contain NUL characters")
    .refine((text) => text.isWellFormed(), "must be well-formed Unicode");

/** The schema refuses unknown fields, so that a misspelt option is noticed. */
export const SpawnRequest = z.strictObject({
  repository: Text(1_024).meta({ description: "Path or URL of the repository", examples: ["/srv/git/shop.git"] }),
  description: Text(20_000).meta({ description: "What the agent should do" }),
  title: Text(200).optional().meta({ description: "A short name; the default is the first line of the description" }),
  acceptance: Text(10_000).optional().meta({ description: "How to tell that the task is done" }),
  agentType: AgentType.default("claude_code").meta({ description: "Which coding agent works on it" }),
  model: z.string().max(128).optional().meta({ description: "Overrides the routing table" }),
  taskType: TaskType.default("bug_fix"),
  baseBranch: z
    .string()
    .refine(isBranchName, "is not a branch name")
    .optional()
    .meta({ description: "The default is the repository's default branch" }),
  branch: z
    .string()
    .refine(isBranchName, "is not a branch name")
    .optional()
    .meta({ description: "The default is a generated name" }),
  workspace: z.enum(["worktree", "clone"]).default("worktree"),
  command: z.array(z.string().min(1).max(4_096)).min(1).max(64).optional().meta({
    description: "For agent type `command`: the program and its arguments; the prompt arrives on its stdin",
  }),
  script: z
    .string()
    .max(64)
    .optional()
    .meta({ description: "For agent type `stub`: which scripted behaviour it plays" }),
  budget: TaskBudget.optional().meta({ description: "The budget of all attempts together" }),
  maxRetries: z.int().min(0).max(10).default(3),
  timeoutMinutes: z.int().min(1).max(1_440).default(60),
});
export type SpawnRequest = z.infer<typeof SpawnRequest>;

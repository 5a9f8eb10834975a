/** What may be asked of the spawn queue's door: the request for a task, as CLI, API and scripts send it. */
import { z } from "zod";
import { isBranchName } from "./branch.ts";
import { TaskBudget } from "../budget.ts";
import { AgentType, TaskType } from "./task.ts";

/** Text of people: no NUL (PostgreSQL refuses it), no lone surrogates (JSON to UTF-8 would mangle them). */
const Text = (maxChars: number) =>
  z
    .string()
    .trim()
    .min(1)
    .max(maxChars)
    .refine((text) => !text.includes("\0"), "must not contain NUL characters")
    .refine((text) => text.isWellFormed(), "must be well-formed Unicode");

/** Unknown fields are refused. */
export const SpawnRequest = z.strictObject({
  repository: Text(1_024).meta({ description: "Path or URL of the repository", examples: ["/srv/git/shop.git"] }),
  description: Text(20_000).meta({ description: "What the agent is asked to do" }),
  title: Text(200).optional().meta({ description: "A short name; the first line of the description when left out" }),
  acceptance: Text(10_000).optional().meta({ description: "How one can tell that it is done" }),
  agentType: AgentType.default("claude_code").meta({ description: "Which coding agent does it" }),
  model: z.string().max(128).optional().meta({ description: "Overrides the routing table" }),
  taskType: TaskType.default("bug_fix"),
  baseBranch: z
    .string()
    .refine(isBranchName, "is not a branch name")
    .optional()
    .meta({ description: "The repository's default branch when left out" }),
  branch: z
    .string()
    .refine(isBranchName, "is not a branch name")
    .optional()
    .meta({ description: "Generated when left out" }),
  workspace: z.enum(["worktree", "clone"]).default("worktree"),
  command: z.array(z.string().min(1).max(4_096)).min(1).max(64).optional().meta({
    description: "For agent type `command`: the program and its arguments; the prompt arrives on its stdin",
  }),
  script: z
    .string()
    .max(64)
    .optional()
    .meta({ description: "For agent type `stub`: which scripted behaviour it plays" }),
  budget: TaskBudget.optional().meta({ description: "What all its attempts together may use" }),
  maxRetries: z.int().min(0).max(10).default(3),
  timeoutMinutes: z.int().min(1).max(1_440).default(60),
});
export type SpawnRequest = z.infer<typeof SpawnRequest>;

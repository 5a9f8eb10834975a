/** A pull request of the local forge, as stored in its row. */
import { z } from "zod";

export const PullRequest = z.object({
  repository: z.string(),
  number: z.int(),
  taskId: z.uuid(),
  tenantId: z.string(),
  operatorId: z.string(),
  title: z.string(),
  headBranch: z.string(),
  baseBranch: z.string(),
  headSha: z.string(),
  baseSha: z.string(),
  state: z.enum(["open", "merged", "closed"]),
  openedBy: z.string(),
  attempt: z.int(),
  mergeSha: z.string().nullable(),
  comments: z.array(z.looseObject({ marker: z.string(), body: z.string() })),
  createdAt: z.date(),
  updatedAt: z.date(),
  closedAt: z.date().nullable(),
});
export type PullRequest = z.infer<typeof PullRequest>;

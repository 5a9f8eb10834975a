/** What may be used: by a task, by an operator, by a tenant; ever, or in one day (UTC). And what it means to have used it up. */
import { z } from "zod";

const Tokens = z.int().min(0).max(1e15);
const Cost = z.number().min(0).max(1e9);
const Minutes = z.number().min(0).max(1e9);

/** A budget that something reached, as the gate tells it. */
export const Cap = z.object({
  scope: z.enum(["operator", "tenant"]),
  what: z.enum(["tokens", "cost", "minutes", "tasks"]),
  daily: z.boolean(),
  limit: z.number(),
  used: z.number(),
});
export type Cap = z.infer<typeof Cap>;

/** Of one task: all of its attempts together. */
export const TaskBudget = z
  .strictObject({
    tokens: Tokens.min(1).optional(),
    cost: Cost.gt(0).optional().meta({ description: "In US dollars" }),
    minutes: Minutes.gt(0).optional().meta({ description: "In which its agents run" }),
  })
  .meta({ id: "TaskBudget" });

const NAMES = { tokens: "tokens", cost: "US dollars", minutes: "minutes", tasks: "tasks" } as const;

/** As a sentence without its full stop. */
export function sayCap({ scope, what, daily, limit, used }: Cap): string {
  const whose = `The ${scope}'s ${daily ? "daily cap" : "budget"} of ${said(limit)} ${NAMES[what]}`;
  return used >= limit
    ? `${whose} is used up (${said(used)})`
    : `${whose} has not as much left: ${said(used)} are used`;
}

export function resetOf({ daily }: Cap): string {
  return daily ? "after midnight UTC, when the day's caps begin anew" : "when an admin raises it (fleet budget set)";
}

/** When a day's caps begin anew; null for what does not by itself. */
export function resetAt({ daily }: Cap, now: Date): Date | null {
  return daily ? new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate() + 1)) : null;
}

function said(figure: number): string {
  return String(Math.round(figure * 100) / 100);
}

/** Alerts about Fleetwright itself: used budgets, overload, broken invariants. Each episode is raised once and ended once. */
import { z } from "zod";
import type { NamedEvent } from "./event.ts";

export const AlertKind = z.enum(["BUDGET_WARNING", "BUDGET_EXCEEDED", "FLEET_OVERLOAD", "GOVERNANCE_ALERT"]);
export type AlertKind = z.infer<typeof AlertKind> & NamedEvent;

/** The CloudEvents 1.0 event of an alert, in the same form as those of tasks. */
export const AlertEvent = z.object({
  specversion: z.literal("1.0"),
  id: z.string(),
  source: z.literal("/fleetwright/governance"),
  type: AlertKind,
  subject: z.string(),
  time: z.iso.datetime(),
  datacontenttype: z.literal("application/json"),
  tenantid: z.string(),
  data: z.object({
    operatorId: z.string(),
    state: z.enum(["raised", "ended"]),
    /** Increases each time the same alert is raised again. */
    episode: z.int().min(1),
    summary: z.string().max(500),
    facts: z.record(z.string(), z.unknown()),
  }),
});
export type AlertEvent = z.infer<typeof AlertEvent>;

export interface AlertContent {
  readonly key: string;
  readonly tenantId: string;
  readonly operatorId: string;
  readonly subject: string;
  readonly summary: string;
  readonly facts: Readonly<Record<string, unknown>>;
}

/** The id is derived from the episode, so that an event sent twice has the same id. */
export function alertEvent(
  type: AlertKind,
  {
    key,
    tenantId,
    operatorId,
    subject,
    summary,
    facts,
    state,
    episode,
    at,
  }: AlertContent & { readonly state: "raised" | "ended"; readonly episode: number; readonly at: Date },
): AlertEvent {
  return {
    specversion: "1.0",
    id: `${key}.${episode}.${state}.${type}`,
    source: "/fleetwright/governance",
    type,
    subject,
    time: at.toISOString(),
    datacontenttype: "application/json",
    tenantid: tenantId,
    data: { operatorId, state, episode, summary: summary.slice(0, 500).toWellFormed(), facts },
  };
}

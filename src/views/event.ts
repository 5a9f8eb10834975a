/** An event as it is published: CloudEvents 1.0 in JSON, the same for SSE, webhooks and NATS. */
import { z } from "zod";

export const EventView = z
  .object({
    specversion: z.literal("1.0"),
    id: z.string().meta({ description: "Also the id to resume a stream from (`Last-Event-ID`)" }),
    source: z.string(),
    type: z.string().meta({ examples: ["fleet.task.running"] }),
    subject: z.string().optional().meta({ description: "The id of the task" }),
    time: z.iso.datetime(),
    datacontenttype: z.literal("application/json").optional(),
    data: z.record(z.string(), z.unknown()),
  })
  .meta({ id: "Event", description: "CloudEvents 1.0" });
export type EventView = z.infer<typeof EventView>;

export interface EventRow {
  readonly id: string;
  readonly type: string;
  readonly tenantId: string;
  readonly taskId?: string | null;
  readonly at: Date;
  readonly data: Readonly<Record<string, unknown>>;
}

export function viewEvent({ id, type, tenantId, taskId, at, data }: EventRow): EventView {
  return {
    specversion: "1.0",
    id,
    source: `/tenants/${tenantId}`,
    type,
    ...(taskId ? { subject: taskId } : {}),
    time: at.toISOString(),
    datacontenttype: "application/json",
    data: { ...data },
  };
}

/** Log lines of one attempt. They are redacted; the client has to escape control characters. */
export const LogsView = z
  .object({
    taskId: z.uuid(),
    attempt: z.int(),
    lines: z.array(z.string()),
    truncated: z.boolean().meta({ description: "There are more lines before the first" }),
  })
  .meta({ id: "Logs" });
export type LogsView = z.infer<typeof LogsView>;

export const LogsQuery = z.strictObject({
  lines: z.coerce.number().int().min(1).max(10_000).default(200),
  attempt: z.coerce.number().int().min(0).optional().meta({ description: "The latest if left out" }),
});

/** One line of a followed log. */
export const LogLine = z.object({ attempt: z.int(), text: z.string() }).meta({ id: "LogLine" });
export type LogLine = z.infer<typeof LogLine>;

/** Reading events: in order and resumable from a cursor, without missing one or showing one before its commit. */
import { setTimeout as pause } from "node:timers/promises";
import type { Operator } from "../../domain/operator.ts";
import { getLatestEventCursor, listEvents, listLatestEvents, type EventRow } from "../../store/outbox.ts";
import type { Fleet } from "../fleet.ts";
import { visibleTo } from "../scope.ts";

const PAGE = 200;
/** How long a follower waits before it reads again when there was nothing new. */
const POLL_MS = 150;

export interface EventsRequest {
  readonly taskId?: string | undefined;
  /** `Last-Event-ID`; without it, only events from now on, or all retained events with `fromStart`. */
  readonly cursor?: string | undefined;
  readonly fromStart?: boolean;
  readonly all?: boolean;
}

const CURSOR = /^\d{1,20}-\d{1,19}$/;

/** One page after a cursor, or the latest events. An invalid cursor means the beginning. */
export async function readEvents(
  fleet: Fleet,
  by: Operator,
  request: EventsRequest,
  limit = PAGE,
): Promise<EventRow[]> {
  const { cursor, taskId } = request;
  return fleet.store.transaction(visibleTo(by, { all: request.all ?? false }), (tx) =>
    cursor === undefined
      ? listLatestEvents(tx, { limit, taskId })
      : listEvents(tx, { cursor: CURSOR.test(cursor) ? cursor : "0-0", limit, taskId }),
  );
}

/** Ends only when the signal is aborted. */
export async function* followEvents(
  fleet: Fleet,
  by: Operator,
  request: EventsRequest,
  signal: AbortSignal,
): AsyncGenerator<EventRow, void> {
  const principal = visibleTo(by, { all: request.all ?? false });
  const requested = request.cursor && CURSOR.test(request.cursor) ? request.cursor : undefined;
  let cursor =
    requested ??
    (request.fromStart ? "0-0" : await fleet.store.transaction(principal, (tx) => getLatestEventCursor(tx)));
  while (!signal.aborted) {
    const from = cursor;
    const page = await fleet.store.transaction(principal, (tx) =>
      listEvents(tx, { cursor: from, limit: PAGE, taskId: request.taskId }),
    );
    for (const event of page) {
      yield event;
      cursor = event.cursor;
    }
    if (page.length === 0) await pause(POLL_MS, undefined, { signal }).catch(() => {});
  }
}

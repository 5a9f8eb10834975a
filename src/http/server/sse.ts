/** Server-sent events: resumable, with heartbeats, no faster than the reader reads, ended when the server closes. */
import { once } from "node:events";
import type { Response } from "express";
import { withSignal } from "../../domain/abort.ts";
import type { StreamEvent } from "../route.ts";

/** Proxies cut what is silent for a minute; a comment every 15 s keeps the stream, and finds dead readers. */
const HEARTBEAT_MS = 15_000;
/** How soon a reader comes back by itself. */
const RETRY_MS = 1_000;

export interface StreamOptions {
  readonly signal: AbortSignal;
  readonly heartbeatMs?: number;
}

/** A source that ends by itself is followed by an `end` event: the reader then does not come back for more. */
export async function streamEvents(
  response: Response,
  events: AsyncIterable<StreamEvent<unknown>>,
  { signal, heartbeatMs = HEARTBEAT_MS }: StreamOptions,
): Promise<void> {
  response.status(200).set({
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",
  });
  response.flushHeaders();
  response.write(`retry: ${RETRY_MS}\n\n`);
  const beat = setInterval(() => {
    // A reader that does not drain gets no beats either: they would pile up in memory.
    if (!response.writableNeedDrain) response.write(": beat\n\n");
  }, heartbeatMs);

  try {
    const ended = await pipeEvents(response, events, signal);
    if (ended) response.write("event: end\ndata: {}\n\n");
  } finally {
    clearInterval(beat);
    response.end();
  }
}

/** True when the source has ended; false when the reader or the server has. */
async function pipeEvents(
  response: Response,
  events: AsyncIterable<StreamEvent<unknown>>,
  signal: AbortSignal,
): Promise<boolean> {
  const source = events[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await withSignal(signal, source.next());
      if (next.done) return true;
      if (!response.write(formatEvent(next.value))) await once(response, "drain", { signal });
    }
  } catch (error) {
    if (signal.aborted) return false;
    throw error;
  } finally {
    // Not awaited: a source that waits for its next event would hold the connection.
    source.return?.().catch(() => {});
  }
}

/** Ids and names of events come from us; a line break in one would forge a second event, so it is taken out. */
function formatEvent({ id, event, data }: StreamEvent<unknown>): string {
  const lines = [];
  if (id !== undefined) lines.push(`id: ${oneLine(id)}`);
  if (event !== undefined) lines.push(`event: ${oneLine(event)}`);
  lines.push(`data: ${JSON.stringify(data)}`);
  return `${lines.join("\n")}\n\n`;
}

function oneLine(text: string): string {
  return text.replaceAll(/[\r\n\0]/g, "");
}

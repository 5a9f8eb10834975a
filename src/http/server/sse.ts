/** Server-sent events: resumable, with heartbeats and backpressure, ended when the server closes. */
import { once } from "node:events";
import type { Response } from "express";
import { withSignal } from "../../domain/abort.ts";
import type { StreamEvent } from "../route.ts";

/** Proxies close a connection that is silent for a minute; a comment every 15 s keeps it open, and detects dead clients. */
const HEARTBEAT_MS = 15_000;
/** How soon a client reconnects by itself. */
const RETRY_MS = 1_000;

export interface StreamOptions {
  readonly signal: AbortSignal;
  readonly heartbeatMs?: number;
}

/** A source that ends by itself is followed by an `end` event, so that the client does not reconnect. */
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
    // A client that does not read gets no heartbeats either: they would pile up in memory.
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

/** True if the source has ended; false if the client has disconnected or the server closes. */
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

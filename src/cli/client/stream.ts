/** Reading server-sent events: every event once, over breaks, until the server says that it is over. */
import { setTimeout as pause } from "node:timers/promises";
import { createParser, type EventSourceMessage } from "eventsource-parser";
import type { IncomingMessage } from "node:http";
import type { z } from "zod";
import { mayPass, reach, TRIES, waitMs, type ApiEvent } from "./api.ts";
import { textFrom } from "./http-client.ts";

export interface StreamSource {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal | undefined;
  readonly problemOf: (status: number, text: string) => Promise<Error>;
}

/** Three of the server's heartbeats. */
const SILENCE_MS = 45_000;

export async function* followStream<Shape extends z.ZodType>(
  source: StreamSource,
  shape: Shape,
): AsyncGenerator<ApiEvent<z.output<Shape>>, void> {
  const { signal } = source;
  let lastId: string | undefined;
  let failures = 0;
  const isOver = () => signal?.aborted === true;
  while (!isOver()) {
    try {
      for await (const { id, event, data } of messages(await open(source, lastId))) {
        if (event === "end") return;
        failures = 0;
        yield { id, event, data: shape.parse(JSON.parse(data)) };
        lastId = id ?? lastId;
      }
    } catch (error) {
      if (isOver()) return;
      failures += 1;
      // Once it was reached, a server that is away for a moment (a deploy) is waited for.
      if (failures >= TRIES || !(mayPass(error) || (lastId !== undefined && isAway(error)))) throw error;
    }
    await pause(waitMs(failures), undefined, signal ? { signal } : {}).catch(() => {});
  }
}

async function open(
  { url, headers, signal, problemOf }: StreamSource,
  lastId: string | undefined,
): Promise<IncomingMessage> {
  const resume = lastId === undefined ? {} : { "last-event-id": lastId };
  const wish = {
    method: "GET",
    headers: { ...headers, accept: "text/event-stream", ...resume },
    signal,
    timeoutMs: SILENCE_MS,
  };
  const response = await reach(url, wish);
  if (response.statusCode === 200) return response;
  throw await problemOf(response.statusCode ?? 0, await textFrom(response));
}

async function* messages(response: IncomingMessage): AsyncGenerator<EventSourceMessage, void> {
  response.setEncoding("utf8");
  const arrived: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (event) => arrived.push(event) });
  for await (const chunk of response) {
    parser.feed(String(chunk));
    yield* arrived.splice(0);
  }
}

function isAway(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "stack-not-running";
}

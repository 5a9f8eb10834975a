/** Reads server-sent events: yields every event once, across reconnects, until the server ends the stream. */
import { setTimeout as pause } from "node:timers/promises";
import { createParser, type EventSourceMessage } from "eventsource-parser";
import type { IncomingMessage } from "node:http";
import type { z } from "zod";
import { isTransient, sendToServer, MAX_TRIES, retryDelayMs, type ApiEvent } from "./api.ts";
import { readText } from "./http-client.ts";

export interface StreamSource {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal | undefined;
  readonly parseProblem: (status: number, text: string) => Promise<Error>;
}

/** Three of the server's heartbeats. */
const IDLE_TIMEOUT_MS = 45_000;

export async function* followStream<Shape extends z.ZodType>(
  source: StreamSource,
  shape: Shape,
): AsyncGenerator<ApiEvent<z.output<Shape>>, void> {
  const { signal } = source;
  let lastId: string | undefined;
  let failures = 0;
  const isAborted = () => signal?.aborted === true;
  while (!isAborted()) {
    try {
      for await (const { id, event, data } of readMessages(await openStream(source, lastId))) {
        if (event === "end") return;
        failures = 0;
        yield { id, event, data: shape.parse(JSON.parse(data)) };
        lastId = id ?? lastId;
      }
    } catch (error) {
      if (isAborted()) return;
      failures += 1;
      // Once the server was reached, a short outage (such as a deploy) is waited out.
      if (failures >= MAX_TRIES || !(isTransient(error) || (lastId !== undefined && isServerDown(error)))) throw error;
    }
    await pause(retryDelayMs(failures), undefined, signal ? { signal } : {}).catch(() => {});
  }
}

async function openStream(
  { url, headers, signal, parseProblem }: StreamSource,
  lastId: string | undefined,
): Promise<IncomingMessage> {
  const resume = lastId === undefined ? {} : { "last-event-id": lastId };
  const request = {
    method: "GET",
    headers: { ...headers, accept: "text/event-stream", ...resume },
    signal,
    timeoutMs: IDLE_TIMEOUT_MS,
  };
  const response = await sendToServer(url, request);
  if (response.statusCode === 200) return response;
  throw await parseProblem(response.statusCode ?? 0, await readText(response));
}

async function* readMessages(response: IncomingMessage): AsyncGenerator<EventSourceMessage, void> {
  response.setEncoding("utf8");
  const arrived: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (event) => arrived.push(event) });
  for await (const chunk of response) {
    parser.feed(String(chunk));
    yield* arrived.splice(0);
  }
}

function isServerDown(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "stack-not-running";
}

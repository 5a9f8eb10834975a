/** Reads the given number of events from a stream, as a browser would. */
import { createParser, type EventSourceMessage } from "eventsource-parser";

export async function parseServerSentEvents(response: Response, count: number): Promise<EventSourceMessage[]> {
  const events: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (event) => events.push(event) });
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  if (!reader) return [];
  while (events.length < count) {
    const { done, value } = await reader.read();
    if (done) break;
    parser.feed(value);
  }
  return events.slice(0, count);
}

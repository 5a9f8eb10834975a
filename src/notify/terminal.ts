/** The channel that is always there: one line per notification, also when another channel has given up. */
import { escapeLine } from "../domain/text/escape.ts";
import type { Channel, Message } from "./channel.ts";

/** `write` gets one line with its line break, for instance to stdout. */
export function terminalChannel(write: (line: string) => void): Channel {
  return {
    name: "terminal",
    deliver(message) {
      write(`${terminalLine(message)}\n`);
      return Promise.resolve({ kind: "delivered" });
    },
  };
}

export function terminalLine({ notification }: Pick<Message, "notification">): string {
  const { type, taskId, summary } = notification;
  return `[FLEET] ${type} | ${taskId ?? "-"} | ${escapeLine(summary)}`;
}

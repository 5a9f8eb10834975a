/** The channel that always works: one line per notification, also as the fallback when another channel has failed. */
import { escapeLine } from "../domain/text/escape.ts";
import type { Channel, Message } from "./channel.ts";

/** `write` gets one line with its line break. */
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

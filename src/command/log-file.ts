/** The log of a run: redacted before it is written, limited in size, with its last section in memory for an excerpt. */
import { closeSync, mkdirSync, openSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { StringDecoder } from "node:string_decoder";
import type { Redactor } from "../domain/text/redact.ts";

export interface CommandLog {
  /** Begins a new section, with its heading. */
  section: (heading: string) => void;
  write: (text: string | Buffer) => void;
  /** The text since the last heading; of a long section its beginning and its end. */
  lastSection: () => string;
  close: () => void;
}

/** A flood of output must not fill the disk; a user who needs more runs the command by hand. */
const MAX_BYTES = 8 * 1_024 * 1_024;
/** The limit of a section in memory, for each of its ends. */
const MAX_SECTION_CHARS = 256 * 1_024;

export function openCommandLog(path: string, redactor: Redactor): CommandLog {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const file = openSync(path, "w", 0o600);
  let left = MAX_BYTES;
  let closed = false;
  let head = "";
  let tail = "";
  let stream = redactor.stream();
  let decoder = new StringDecoder("utf8");

  function record(text: string): void {
    const room = Math.max(0, MAX_SECTION_CHARS - head.length);
    head += text.slice(0, room);
    tail = (tail + text.slice(room)).slice(-MAX_SECTION_CHARS);
    if (left > 0) writeToFile(text);
  }

  /** A full disk loses the rest of the log, but must not end the process that writes it. */
  function writeToFile(text: string): void {
    const bytes = Buffer.from(text);
    try {
      writeSync(file, bytes.subarray(0, left));
      left -= bytes.length;
      if (left <= 0) writeSync(file, `\n[… the log is cut here, at ${MAX_BYTES} bytes …]\n`);
    } catch {
      left = 0;
    }
  }

  function flush(): void {
    record(stream.push(decoder.end()) + stream.end());
  }

  return {
    section(heading) {
      flush();
      [head, tail] = ["", ""];
      [stream, decoder] = [redactor.stream(), new StringDecoder("utf8")];
      record(redactor.redact(heading));
    },
    write: (text) => record(stream.push(typeof text === "string" ? text : decoder.write(text))),
    lastSection() {
      flush();
      return head + tail;
    },
    close() {
      if (closed) return;
      flush();
      closed = true;
      left = 0;
      closeSync(file);
    },
  };
}

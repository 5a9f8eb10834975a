/** Long work, shown while it goes: one line that moves on a terminal, one line per change elsewhere. */
import type { Terminal } from "./terminal.ts";

export interface Progress {
  /** What is going on now; said again it only moves the clock. */
  say(text: string): void;
  /** The last word; the moving line becomes it. */
  end(text: string): void;
}

const FRAMES = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const FRAME_MS = 100;
const CLEAR = "\r\u001B[K";

/** `clock` ends each moving line: for how long it has been so. */
export function openProgress(terminal: Terminal, clock: () => string): Progress {
  return terminal.isTty ? moving(terminal, clock) : plain(terminal);
}

function moving({ raw, paint }: Terminal, clock: () => string): Progress {
  let text = "";
  let frame = 0;
  const draw = () => {
    frame += 1;
    raw(`${CLEAR}${paint("cyan", FRAMES[frame % FRAMES.length] ?? "")} ${text} ${paint("dim", clock())}`);
  };
  const timer = setInterval(draw, FRAME_MS);
  timer.unref();
  return {
    say(now) {
      if (now !== text && text !== "") raw(`${CLEAR}  ${text}\n`);
      text = now;
      draw();
    },
    end(last) {
      clearInterval(timer);
      if (text !== "") raw(`${CLEAR}  ${text}\n`);
      raw(`${CLEAR}${last}\n`);
    },
  };
}

function plain({ line }: Terminal): Progress {
  let said = "";
  return {
    say(now) {
      if (now !== said) line(now);
      said = now;
    },
    end: line,
  };
}

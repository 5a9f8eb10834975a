/** Long work, shown while it goes: one line that moves on a terminal, one line per change elsewhere. */
import type { Terminal } from "./print/terminal.ts";
import { span } from "./print/format.ts";

export interface Progress {
  /** What is going on now; said again it only moves the clock. */
  say(text: string): void;
  /** The last word; the moving line becomes it. */
  end(text: string): void;
}

const FRAMES = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const FRAME_MS = 100;
const CLEAR = "\r\u001B[K";

/** Each step is shown with how long it takes, and when it is left, with how long it took. */
export function openProgress(terminal: Terminal, clock: () => Date): Progress {
  return terminal.isTty ? moving(terminal, clock) : plain(terminal);
}

function moving({ raw, paint }: Terminal, clock: () => Date): Progress {
  let text = "";
  let since = 0;
  let frame = 0;
  const took = () => paint("dim", span(clock().getTime() - since));
  const draw = () => {
    frame += 1;
    raw(`${CLEAR}${paint("cyan", FRAMES[frame % FRAMES.length] ?? "")} ${text}  ${took()}`);
  };
  const leave = () => {
    if (text !== "") raw(`${CLEAR}  ${text}  ${took()}\n`);
  };
  const timer = setInterval(draw, FRAME_MS);
  timer.unref();
  return {
    say(now) {
      if (now !== text) {
        leave();
        since = clock().getTime();
        text = now;
      }
      draw();
    },
    end(last) {
      clearInterval(timer);
      leave();
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

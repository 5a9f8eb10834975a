/** Progress of a long operation: one line that is updated on a terminal, one line per change elsewhere. */
import type { Terminal } from "./terminal.ts";
import { formatDuration } from "./format.ts";

export interface Progress {
  /** Shows the current step; repeating the same text only updates the elapsed time. */
  update(text: string): void;
  /** Ends the progress; the updating line becomes the final text. */
  end(text: string): void;
}

const FRAMES = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const FRAME_MS = 100;
const CLEAR = "\r\u001B[K";

/** Each step is shown with its elapsed time, and when it ends, with how long it took. */
export function openProgress(terminal: Terminal, clock: () => Date): Progress {
  return terminal.isTty ? animatedProgress(terminal, clock) : plainProgress(terminal);
}

function animatedProgress({ raw, paint }: Terminal, clock: () => Date): Progress {
  let text = "";
  let stepStartedAt = 0;
  let frame = 0;
  const elapsed = () => paint("dim", formatDuration(clock().getTime() - stepStartedAt));
  const draw = () => {
    frame += 1;
    raw(`${CLEAR}${paint("cyan", FRAMES[frame % FRAMES.length] ?? "")} ${text}  ${elapsed()}`);
  };
  const finishStep = () => {
    if (text !== "") raw(`${CLEAR}  ${text}  ${elapsed()}\n`);
  };
  const timer = setInterval(draw, FRAME_MS);
  timer.unref();
  return {
    update(now) {
      if (now !== text) {
        finishStep();
        stepStartedAt = clock().getTime();
        text = now;
      }
      draw();
    },
    end(last) {
      clearInterval(timer);
      finishStep();
      raw(`${CLEAR}${last}\n`);
    },
  };
}

function plainProgress({ line }: Terminal): Progress {
  let lastText = "";
  return {
    update(now) {
      if (now !== lastText) line(now);
      lastText = now;
    },
    end: line,
  };
}

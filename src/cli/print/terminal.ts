/** Output for people: colours with a meaning, plain text when piped. Text from elsewhere is escaped before it is written. */
import pc from "picocolors";
import { escapeForTerminal, isControl, isInvisible } from "../../domain/text/escape.ts";
import { CONDITION_STYLES, STATUS_STYLES, type Colour } from "./format.ts";
import type { Condition, TaskStatus } from "../../domain/task/task.ts";
import type { World, Output } from "../world.ts";

export interface Terminal {
  /** True on a terminal: colours, tables that fit, progress. Otherwise plain lines, and nothing is cut. */
  readonly isTty: boolean;
  readonly columns: number;
  readonly paint: (colour: Colour, text: string) => string;
  /** Escapes text of agents, pull requests and people: the result is one line that cannot control the terminal. */
  readonly sanitize: (text: string) => string;
  readonly status: (status: TaskStatus, condition?: Condition | null) => string;
  /** Shows ✔ for true, ✖ for false, ○ for not known yet. */
  readonly mark: (holds: boolean | null) => string;
  readonly line: (text?: string) => void;
  /** Writes to stderr, because scripts read stdout. */
  readonly note: (text: string) => void;
  readonly json: (data: unknown) => void;
  readonly raw: (text: string) => void;
}

const UNLIMITED_WIDTH = Number.POSITIVE_INFINITY;

export function openTerminal({ stdout, stderr, env }: World): Terminal {
  const isTty = stdout.isTTY === true;
  const colours = pc.createColors(supportsColour(stdout, env));
  const paint = (colour: Colour, text: string) => colours[colour](text);
  return {
    isTty,
    columns: isTty ? (stdout.columns ?? 80) : UNLIMITED_WIDTH,
    paint,
    sanitize,
    status: (status, condition) => statusMark(paint, status, condition),
    mark: (holds) => markFor(paint, holds),
    line: (text = "") => void stdout.write(`${text}\n`),
    note: (text) => void stderr.write(`${text}\n`),
    json: (data) => void stdout.write(`${jsonText(data, isTty ? 2 : 0)}\n`),
    raw: (text) => void stdout.write(text),
  };
}

function supportsColour(output: Output, env: World["env"]): boolean {
  if (env["NO_COLOR"]) return false;
  if (env["FORCE_COLOR"]) return env["FORCE_COLOR"] !== "0";
  return output.isTTY === true && env["TERM"] !== "dumb";
}

export function sanitize(text: string): string {
  return escapeForTerminal(text).replaceAll(/\s+/g, " ").trim();
}

/** The same JSON value, with every character that could control the terminal written as a `\u` escape. */
export function jsonText(data: unknown, indent = 0): string {
  const text = JSON.stringify(data, undefined, indent);
  return text.replaceAll(/[^\n -~]/gu, (sign) => {
    const codePoint = sign.codePointAt(0) ?? 0;
    // Some readers break lines at the Unicode line and paragraph separators.
    const breaks = codePoint === 0x2028 || codePoint === 0x2029;
    if (!breaks && !isControl(codePoint) && !isInvisible(codePoint)) return sign;
    const units = Array.from({ length: sign.length }, (_, at) => sign.charCodeAt(at).toString(16).padStart(4, "0"));
    return units.map((unit) => `\\u${unit}`).join("");
  });
}

type Paint = Terminal["paint"];

function statusMark(paint: Paint, status: TaskStatus, condition: Condition | null = "ok"): string {
  const { glyph, colour, label } = STATUS_STYLES[status];
  const conditionStyle = condition === null ? undefined : CONDITION_STYLES[condition];
  return paint(
    conditionStyle?.colour ?? colour,
    conditionStyle ? `${conditionStyle.glyph} ${label}: ${conditionStyle.label}` : `${glyph} ${label}`,
  );
}

function markFor(paint: Paint, holds: boolean | null): string {
  if (holds === null) return paint("gray", "○");
  return holds ? paint("green", "✔") : paint("red", "✖");
}

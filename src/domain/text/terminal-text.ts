/** Extracts plain text from terminal output in one pass without regular expressions, so that no input can make it slow. */
import { isInvisible } from "./escape.ts";

const BEL = 0x07;
const BACKSPACE = 0x08;
const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const CAN = 0x18;
const SUB = 0x1a;
const ESC = 0x1b;
const CSI = 0x9b;
const ST = 0x9c;

/** C1 and `ESC x` introducers of a string (DCS, SOS, OSC, PM, APC) that lasts until its terminator. */
const STRING_STARTS = new Set([0x90, 0x98, 0x9d, 0x9e, 0x9f]);

/**
 * Removes escape sequences, control and invisible characters. Of a line that was overwritten (`\r`), the last visible part
 * remains, as on the screen. Parts are never mixed, because half of a masked word could become visible again.
 */
export function stripTerminal(text: string): string {
  return lastShown(strip(text.split("\r\n").join("\n")));
}

/** Does the same, but keeps every overwritten part as a separate line, so that nothing can hide from redaction. */
export function plainText(text: string): string {
  return strip(text.includes("\r") ? text.split("\r\n").join("\n").split("\r").join("\n") : text);
}

function strip(text: string): string {
  if (!/[^\r\n\t -~]/.test(text)) return text;
  const out: string[] = [];
  let clean = 0;
  for (let at = 0; at < text.length;) {
    const unit = text.charCodeAt(at);
    const next = isPlain(unit) ? at : skip(text, at, unit);
    if (next === at) {
      // Only a complete surrogate pair counts two: after a lone half, the next unit has to be checked as well.
      at += (text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1;
      continue;
    }
    if (at > clean) out.push(text.slice(clean, at));
    if (unit === BACKSPACE) eraseLast(out);
    at = next;
    clean = next;
  }
  out.push(text.slice(clean));
  return out.join("");
}

function isPlain(unit: number): boolean {
  return (unit >= 0x20 && unit < 0x7f) || unit === LF || unit === TAB || unit === CR;
}

/** Returns where the text continues after a sequence to remove; `at` itself when the character is kept. */
function skip(text: string, at: number, unit: number): number {
  if (unit === ESC) return skipEscape(text, at + 1);
  if (unit === CSI) return skipCsi(text, at + 1);
  if (STRING_STARTS.has(unit)) return skipString(text, at + 1);
  if (unit < 0x20 || (unit >= 0x7f && unit <= 0x9f)) return at + 1;
  const codePoint = text.codePointAt(at) ?? 0;
  if (isInvisible(codePoint)) return at + (codePoint > 0xffff ? 2 : 1);
  return at;
}

function skipEscape(text: string, from: number): number {
  const unit = text.charCodeAt(from);
  if (unit === 0x5b) return skipCsi(text, from + 1);
  if (unit >= 0x40 && unit <= 0x5f && STRING_STARTS.has(unit + 0x40)) return skipString(text, from + 1);
  let at = from;
  while (isBetween(text.charCodeAt(at), 0x20, 0x2f)) at += 1;
  return isBetween(text.charCodeAt(at), 0x30, 0x7e) ? at + 1 : at;
}

function skipCsi(text: string, from: number): number {
  let at = from;
  while (isBetween(text.charCodeAt(at), 0x20, 0x3f)) at += 1;
  return isBetween(text.charCodeAt(at), 0x40, 0x7e) ? at + 1 : at;
}

/** A string without a terminator ends at the end of its line, so that it cannot swallow a whole log. */
function skipString(text: string, from: number): number {
  for (let at = from; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    if (unit === BEL || unit === ST || unit === CAN || unit === SUB) return at + 1;
    if (unit === ESC) return text.charCodeAt(at + 1) === 0x5c ? at + 2 : at;
    if (unit === LF) return at;
  }
  return text.length;
}

function isBetween(unit: number, from: number, to: number): boolean {
  return unit >= from && unit <= to;
}

/** A backspace, which `man` uses for bold, removes the preceding character, but never a line break. */
function eraseLast(out: string[]): void {
  const last = out.pop();
  if (last === undefined || last === "") return;
  if (last.endsWith("\r") || last.endsWith("\n")) {
    out.push(last);
    return;
  }
  const isPair = isBetween(last.charCodeAt(last.length - 1), 0xdc00, 0xdfff);
  const rest = last.slice(0, isPair ? -2 : -1);
  if (rest !== "") out.push(rest);
}

function lastShown(text: string): string {
  if (!text.includes("\r")) return text;
  return text.split("\n").map(lastShownOfLine).join("\n");
}

function lastShownOfLine(line: string): string {
  for (let end = line.length; end > 0;) {
    const start = line.lastIndexOf("\r", end - 1) + 1;
    const part = line.slice(start, end);
    if (part.trim() !== "") return part;
    end = start - 1;
  }
  return "";
}

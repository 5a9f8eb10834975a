/** Escapes untrusted text for a terminal: characters that could control it, or hide or reorder text, are written as `\u{…}`. */

/** Characters that are invisible or change the order of others: bidi, zero-width, fillers, tags, variation selectors, and the rest of Unicode's category Cf. */
const INVISIBLE: readonly (readonly [number, number])[] = [
  [0xad, 0xad],
  [0x34f, 0x34f],
  [0x600, 0x605],
  [0x61c, 0x61c],
  [0x6dd, 0x6dd],
  [0x70f, 0x70f],
  [0x890, 0x891],
  [0x8e2, 0x8e2],
  [0x115f, 0x1160],
  [0x17b4, 0x17b5],
  [0x180b, 0x180f],
  [0x200b, 0x200f],
  [0x202a, 0x202e],
  [0x2060, 0x206f],
  [0x3164, 0x3164],
  [0xfe00, 0xfe0f],
  [0xfeff, 0xfeff],
  [0xffa0, 0xffa0],
  [0xfff0, 0xfffb],
  [0x110bd, 0x110bd],
  [0x110cd, 0x110cd],
  [0x13430, 0x1343f],
  [0x1bca0, 0x1bca3],
  [0x1d173, 0x1d17a],
  [0xe0000, 0xe0fff],
];

/** A lookup table for the first plane: searching the ranges for every character took 90 ms for 1 MB of Japanese. */
const INVISIBLE_IN_BMP = new Uint8Array(0x10000);
for (const [from, to] of INVISIBLE) if (to < 0x10000) INVISIBLE_IN_BMP.fill(1, from, to + 1);

const INVISIBLE_BEYOND_BMP = INVISIBLE.filter(([from]) => from > 0xffff);

/** These select the text or emoji style of the preceding character. They are common in ordinary output and cannot carry a message. */
const EMOJI_STYLE = new Set([0xfe0e, 0xfe0f]);

export function isInvisible(codePoint: number): boolean {
  if (codePoint < 0x10000) return INVISIBLE_IN_BMP[codePoint] === 1;
  if (codePoint >= 0xe0000) return codePoint <= 0xe0fff;
  return INVISIBLE_BEYOND_BMP.some(([from, to]) => codePoint >= from && codePoint <= to);
}

/** Covers C0, DEL and C1. Line breaks and tabs are included, so the caller has to allow them. */
export function isControl(codePoint: number): boolean {
  return codePoint < 0x20 || (codePoint >= 0x7f && codePoint <= 0x9f);
}

/** Preserves line breaks and tabs. */
export function escapeForTerminal(text: string): string {
  return escapeExcept(text, (codePoint) => codePoint === 0x0a || codePoint === 0x09);
}

/** Escapes line breaks too, for a line that others parse or trust: text cannot forge a second one. */
export function escapeLine(text: string): string {
  return escapeExcept(text, () => false);
}

function escapeExcept(text: string, isAllowed: (codePoint: number) => boolean): string {
  if (!/[^ -~]/.test(text)) return text;
  const names = new Map<number, string>();
  let shown = "";
  let clean = 0;
  for (let at = 0; at < text.length;) {
    const codePoint = text.codePointAt(at) ?? 0;
    const width = codePoint > 0xffff ? 2 : 1;
    if (isDangerous(codePoint) && !isAllowed(codePoint)) {
      let name = names.get(codePoint);
      if (name === undefined) names.set(codePoint, (name = `\\u{${codePoint.toString(16)}}`));
      shown += at > clean ? text.slice(clean, at) + name : name;
      clean = at + width;
    }
    at += width;
  }
  return shown + text.slice(clean);
}

function isDangerous(codePoint: number): boolean {
  if (codePoint < 0x7f) return codePoint < 0x20;
  if (isControl(codePoint)) return true;
  // Line and paragraph separators break lines for some readers; a lone surrogate cannot be written as UTF-8.
  if (codePoint === 0x2028 || codePoint === 0x2029) return true;
  if (codePoint >= 0xd800 && codePoint <= 0xdfff) return true;
  return isInvisible(codePoint) && !EMOJI_STYLE.has(codePoint);
}

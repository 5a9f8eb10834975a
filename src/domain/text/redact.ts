/**
 * Masks secrets in untrusted text: known values, the token formats of known vendors, and values after a sensitive name.
 * It reads plain text (without escape sequences and invisible characters), because colour codes inside a key would hide it.
 */
import { type SecretMatch, findKnownValues, encodedForms } from "./secret-values.ts";
import { findNamedSecrets } from "./secret-names.ts";
import { looksRandom, SECRET_PATTERNS, type SecretPattern } from "./secret-patterns.ts";
import { plainText } from "./terminal-text.ts";

export interface Redactor {
  /** Returns the text without terminal sequences, with each secret replaced by `[redacted:<kind>]`. */
  redact: (text: string) => string;
  /** Does the same for text that arrives in chunks, and finds secrets across chunk boundaries too. */
  stream: () => RedactingStream;
}

export interface RedactingStream {
  /** Returns what is safe to show; the rest is held back until more text decides about it. */
  push: (chunk: string) => string;
  /** Returns the rest. The stream is empty afterwards and can be used again. */
  end: () => string;
}

/** A private key without an end marker is masked up to this length: longer than any key, shorter than a log. */
const MAX_KEY_CHARS = 16_384;
/** Keys are wrapped after 64 or 76 characters; a longer line does not belong to one. */
const MAX_KEY_LINE_CHARS = 200;
/** A longer line is processed in parts, and enough is held back that no vendor's token is split. */
const MAX_LINE_CHARS = 65_536;
const LONG_LINE_HOLDBACK = 8_192;
/** Room for the name, quotes and operator before a value. */
const MAX_CONTEXT_CHARS = 128;

export function createRedactor({ values = [] }: { values?: readonly string[] } = {}): Redactor {
  const forms = encodedForms(values);
  return {
    redact: (text) => {
      const plain = plainText(text);
      return mask(plain, findSecrets(plain, forms));
    },
    stream: () => redactingStream(forms),
  };
}

function redactingStream(forms: readonly string[]): RedactingStream {
  const longest = forms[0]?.length ?? 0;
  // A wrapped value is at most twice as long, because it has fewer line breaks than characters.
  const holdback = 2 * longest;
  let raw = "";
  let plain = "";
  let scannedLength = 0;

  function emit(hold: number): string {
    const found = mergeMatches(findSecrets(plain, forms));
    const cut = safeCut(plain, found, plain.length - hold);
    const shown = mask(
      plain.slice(0, cut),
      found.filter(({ to }) => to <= cut),
    );
    plain = plain.slice(cut);
    scannedLength = plain.length;
    return shown;
  }

  return {
    push(chunk) {
      const end = chunk.lastIndexOf("\n");
      const isLong = raw.length + chunk.length > MAX_LINE_CHARS;
      if (end === -1 && !isLong) {
        raw += chunk;
        return "";
      }
      const whole = raw + chunk;
      const upTo = end === -1 ? safeEnd(whole) : raw.length + end + 1;
      plain += plainText(whole.slice(0, upTo));
      raw = whole.slice(upTo);
      // While a key is open, scan again only after enough new text: otherwise each line would rescan the held text.
      if (scannedLength > 1_024 && plain.length - scannedLength < 1_024) return "";
      return emit(end === -1 ? Math.max(holdback, LONG_LINE_HOLDBACK) : holdback);
    },
    end() {
      plain += plainText(raw);
      const rest = mask(plain, findSecrets(plain, forms));
      raw = "";
      plain = "";
      scannedLength = 0;
      return rest;
    },
  };
}

/** Returns the position up to which later text can neither change what was found nor depend on what comes before. */
function safeCut(plain: string, found: readonly SecretMatch[], wanted: number): number {
  let cut = contextStart(plain, Math.max(0, wanted));
  for (const { from, to } of found.toReversed()) {
    if (to > cut && from - MAX_CONTEXT_CHARS < cut) cut = Math.min(cut, contextStart(plain, from));
  }
  // A private key that continues in the next chunk extends to the end of this one.
  const open = plain.lastIndexOf("-----BEGIN");
  const isOpen = open !== -1 && plain.length - open < MAX_KEY_CHARS && !plain.includes("-----END", open);
  return isOpen ? Math.min(cut, contextStart(plain, open)) : cut;
}

/** Returns the start of the line, which contains the name before a value; in a very long line, the length of a name before `at`. */
function contextStart(plain: string, at: number): number {
  if (at === 0) return 0;
  const start = plain.lastIndexOf("\n", at - 1) + 1;
  return at - start > LONG_LINE_HOLDBACK ? at - MAX_CONTEXT_CHARS : start;
}

/** Returns an end before the last escape sequence that may be incomplete, and never inside a surrogate pair. */
function safeEnd(text: string): number {
  const tail = text.slice(-4_096);
  for (let at = tail.length - 1; at >= 0; at -= 1) {
    const unit = tail.charCodeAt(at);
    if (unit === 0x1b || (unit >= 0x90 && unit <= 0x9f)) return text.length - tail.length + at;
  }
  const last = text.charCodeAt(text.length - 1);
  return (last >= 0xd800 && last <= 0xdbff) || last === 0x0d ? text.length - 1 : text.length;
}

function findSecrets(plain: string, forms: readonly string[]): SecretMatch[] {
  return [
    ...findKnownValues(plain, forms),
    ...findPrivateKeys(plain),
    ...findPatterns(plain),
    ...findNamedSecrets(plain),
  ];
}

function mergeMatches(found: SecretMatch[]): SecretMatch[] {
  const merged: SecretMatch[] = [];
  for (const next of found.toSorted((a, b) => a.from - b.from || b.to - a.to)) {
    const last = merged.at(-1);
    if (!last || next.from >= last.to) merged.push(next);
    else if (next.to > last.to) merged[merged.length - 1] = { ...last, to: next.to };
  }
  return merged;
}

function mask(plain: string, found: SecretMatch[]): string {
  if (found.length === 0) return plain;
  const parts: string[] = [];
  let at = 0;
  for (const { from, to, name } of mergeMatches(found)) {
    parts.push(plain.slice(at, from), `[redacted:${name}]`);
    at = to;
  }
  parts.push(plain.slice(at));
  return parts.join("");
}

/** Searches without a regular expression: a lazy one up to the end marker would read the rest again for each start marker. */
function findPrivateKeys(plain: string): SecretMatch[] {
  const found: SecretMatch[] = [];
  for (let from = plain.indexOf("-----BEGIN"); from !== -1;) {
    const heading = plain.slice(from, from + 80);
    if (!/^-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY/.test(heading)) {
      from = plain.indexOf("-----BEGIN", from + 10);
      continue;
    }
    const end = plain.slice(from, from + MAX_KEY_CHARS).indexOf("-----END");
    const footer = end === -1 ? -1 : plain.slice(from + end + 8, from + end + 80).indexOf("-----");
    const to =
      end === -1 ? Math.min(plain.length, from + MAX_KEY_CHARS) : from + end + 8 + (footer === -1 ? 0 : footer + 5);
    found.push({ from, to, name: "private-key" });
    from = plain.indexOf("-----BEGIN", to);
  }
  return [...found, ...findKeyEnds(plain, found)];
}

/** Finds keys whose start is missing, as in the tail of a log: the end marker, and the lines before it that may belong to the key. */
function findKeyEnds(plain: string, whole: readonly SecretMatch[]): SecretMatch[] {
  const found: SecretMatch[] = [];
  let at = 0;
  for (let end = plain.indexOf("-----END"); end !== -1; end = plain.indexOf("-----END", end + 8)) {
    while ((whole[at]?.to ?? Infinity) <= end) at += 1;
    if ((whole[at]?.from ?? Infinity) < end) continue;
    const marker = /^-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?:-----)?/.exec(plain.slice(end, end + 80))?.[0];
    if (marker === undefined) continue;
    let from = end;
    for (
      let line = lineBefore(plain, from);
      line !== from && end - from < MAX_KEY_CHARS;
      line = lineBefore(plain, from)
    ) {
      from = line;
    }
    found.push({ from, to: end + marker.length, name: "private-key" });
  }
  return found;
}

/** Returns the start of the line that ends before `at` if it may belong to a key; otherwise `at`. */
function lineBefore(plain: string, at: number): number {
  // A longer line cannot belong to a key, so it need not be read completely.
  const base = Math.max(0, at - MAX_KEY_LINE_CHARS);
  const near = plain.slice(base, at);
  const start = near.lastIndexOf("\n", near.length - 2) + 1;
  if ((start === 0 && base > 0) || !/^[A-Za-z0-9+/=]+[\t ]*\n$/.test(near.slice(start))) return at;
  return base + start;
}

/** The patterns by the hash of their first three characters. A collision only costs a comparison. */
const PATTERN_INDEX: readonly (readonly { start: string; pattern: SecretPattern }[] | undefined)[] = indexPatterns();

function hashAt(text: string, at: number): number {
  return ((text.charCodeAt(at) * 31 + text.charCodeAt(at + 1)) * 31 + text.charCodeAt(at + 2)) & 0xfff;
}

function indexPatterns(): ({ start: string; pattern: SecretPattern }[] | undefined)[] {
  const table: ({ start: string; pattern: SecretPattern }[] | undefined)[] = Array.from({ length: 0x1000 });
  for (const pattern of SECRET_PATTERNS) {
    for (const start of pattern.prefixes) (table[hashAt(start, 0)] ??= []).push({ start, pattern });
  }
  return table;
}

function findPatterns(plain: string): SecretMatch[] {
  const found: SecretMatch[] = [];
  for (let at = 0; at + 3 < plain.length; at += 1) {
    const candidates = PATTERN_INDEX[hashAt(plain, at)];
    if (!candidates) continue;
    for (const { start, pattern } of candidates) {
      if (!plain.startsWith(start, at)) continue;
      const to = endOfMatch(plain, at, pattern);
      if (to === at) continue;
      if (!pattern.random || looksRandom(plain.slice(at, to))) found.push({ from: at, to, name: pattern.name });
      // A match that is not a secret is skipped too: scanning it again from its middle would be quadratic.
      at = to - 1;
      break;
    }
  }
  return found;
}

function endOfMatch(plain: string, at: number, { regex, after }: SecretPattern): number {
  if (after && at > 0 && isPartOf(after, plain.charCodeAt(at - 1))) return at;
  regex.lastIndex = at;
  return regex.test(plain) ? regex.lastIndex : at;
}

function isPartOf(unit: "word" | "token", before: number): boolean {
  const isLetter = (before | 0x20) >= 0x61 && (before | 0x20) <= 0x7a;
  const isDigit = before >= 0x30 && before <= 0x39;
  const joins = unit === "token" && (before === 0x5f || before === 0x2d);
  return isLetter || isDigit || joins;
}

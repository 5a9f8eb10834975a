/** Finds secrets whose value is known, in every encoding in which they are likely to be printed. */

export interface SecretMatch {
  readonly from: number;
  readonly to: number;
  readonly name: string;
}

/** Shorter values would mask ordinary words, and a secret that short protects nothing. */
const MIN_CHARS = 6;
const MAX_FORMS = 2_000;

/** Returns each value raw, base64 (alone or inside longer text), base64url, percent-encoded, JSON-escaped and hex, the longest first. */
export function encodedForms(values: readonly string[]): readonly string[] {
  const forms = new Set<string>();
  for (const value of values) {
    const trimmed = value.trim();
    if (trimmed.length < MIN_CHARS) continue;
    for (const form of encodings(trimmed)) {
      const compact = removeLineBreaks(form);
      if (compact.length >= MIN_CHARS) forms.add(compact);
    }
  }
  return [...forms].toSorted((a, b) => b.length - a.length).slice(0, MAX_FORMS);
}

function encodings(value: string): string[] {
  const bytes = new TextEncoder().encode(value.toWellFormed());
  const percent = encodeURIComponent(value.toWellFormed());
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const base64 = [0, 1, 2].map((shift) => base64At(bytes, shift));
  return [
    value,
    ...base64,
    ...base64.map((form) => form.replaceAll("+", "-").replaceAll("/", "_")),
    percent,
    percent.replaceAll(/%[0-9A-F]{2}/g, (code) => code.toLowerCase()),
    percent.replaceAll("%20", "+"),
    JSON.stringify(value).slice(1, -1),
    hex,
    hex.toUpperCase(),
  ];
}

/** Returns the base64 characters that are the same wherever the bytes occur in longer data (here after 0, 1 or 2 other bytes). */
function base64At(bytes: Uint8Array, shift: number): string {
  const shifted = new Uint8Array(bytes.length + shift);
  shifted.set(bytes, shift);
  let binary = "";
  for (const byte of shifted) binary += String.fromCharCode(byte);
  const whole = btoa(binary).replace(/=+$/, "");
  const firstSure = Math.ceil((shift * 8) / 6);
  const lastSure = Math.floor((shifted.length * 8) / 6);
  return whole.slice(firstSure, lastSure);
}

/** Ignores line breaks, because `base64` and terminals wrap their output. */
export function findKnownValues(text: string, forms: readonly string[]): SecretMatch[] {
  if (forms.length === 0) return [];
  const compact = removeLineBreaks(text);
  const found: [number, number][] = [];
  for (const form of forms) {
    for (let at = compact.indexOf(form); at !== -1; at = compact.indexOf(form, at + form.length)) {
      found.push([at, at + form.length]);
    }
  }
  if (found.length === 0) return [];
  found.sort((a, b) => a[0] - b[0]);
  return compact.length === text.length
    ? found.map(([from, to]) => ({ from, to, name: "value" }))
    : mapToText(text, found);
}

/** Maps positions in the compact text to the original by walking matches and removed line breaks in parallel. */
function mapToText(text: string, found: readonly (readonly [number, number])[]): SecretMatch[] {
  const breaks: number[] = [];
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) breaks.push(at - breaks.length);
  let before = 0;
  return found.map(([from, to]) => {
    while (before < breaks.length && (breaks[before] ?? 0) <= from) before += 1;
    let within = before;
    while (within < breaks.length && (breaks[within] ?? 0) < to) within += 1;
    return { from: from + before, to: to + within, name: "value" };
  });
}

function removeLineBreaks(text: string): string {
  return text.includes("\n") ? text.replaceAll("\n", "") : text;
}

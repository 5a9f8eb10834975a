/** Finds values after a sensitive name (`password=…`, `"apiKey": "…"`, `Authorization: …`) in one pass over the text. */
import { looksRandom } from "./secret-patterns.ts";
import type { SecretMatch } from "./secret-values.ts";

const MAX_NAME_CHARS = 64;
const MIN_VALUE_CHARS = 8;

const SENSITIVE_NAME =
  /secret|token|passw|passphrase|pwd|api.?key|access.?key|account.?key|private.?key|signing.?key|encryption.?key|credential|connection.?string/i;
const HEADER = /^(?:proxy-)?authorization$|^x-api-key$|^(?:set-)?cookie$|^x-auth-token$|^private-token$/i;
/** Names of counts and locations rather than secrets: `max_tokens=`, `token_type:`, `secret_name:`. */
const HARMLESS_NAME =
  /(?:tokens|count|limit|usage|length|type|name|path|file|url|uri|id|expires?(?:_?(?:in|at))?|estimate)$/i;
const BOT_ID = /(?:^|[^0-9])[0-9]{6,12}$/;
const BOT_TOKEN = /[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])/y;
const SCHEME = /(?:basic|bearer|token|digest|apikey|bot|negotiate|aws4-hmac-sha256) {1,4}/iy;

const COLON = 0x3a;
const EQUALS = 0x3d;

export function findNamedSecrets(plain: string): SecretMatch[] {
  const found: SecretMatch[] = [];
  const cache = new Map<string, boolean>();
  for (let at = 0; at < plain.length; at += 1) {
    const unit = plain.charCodeAt(at);
    if (unit !== COLON && unit !== EQUALS) continue;
    const nameEnd = skipBack(plain, at);
    const nameStart = startOfName(plain, nameEnd);
    if (nameEnd - nameStart < 3) continue;
    const hit = matchNamed(plain, { from: nameStart, to: nameEnd }, at, cache);
    if (!hit) continue;
    if (hit.name !== "") found.push(hit);
    // What was read is never read again, secret or not, so that the pass stays linear.
    at = Math.max(at, hit.to - 1);
  }
  return found;
}

/** Returns undefined when the name is not sensitive. A match with an empty name is an ordinary value after a sensitive name, which is skipped. */
function matchNamed(
  plain: string,
  range: { from: number; to: number },
  at: number,
  cache: Map<string, boolean>,
): SecretMatch | undefined {
  const name = plain.slice(range.from, range.to);
  if (plain.charCodeAt(at) === COLON && BOT_ID.test(name)) return matchBotToken(plain, range.from, at);
  if (HEADER.test(name)) return matchHeader(plain, at);
  if (!isSensitiveName(name, cache)) return undefined;
  const from = skipForward(plain, at + 1);
  const to = endOfValue(plain, from);
  const value = plain.slice(from, to);
  const isSecret =
    value.length >= MIN_VALUE_CHARS && !value.startsWith("$") && !/[.]env[.]/.test(value) && looksRandom(value);
  return { from, to, name: isSecret ? "named" : "" };
}

/** Names repeat in a log, so the results are cached. The cache is bounded, because a hostile log may never repeat one. */
function isSensitiveName(name: string, cache: Map<string, boolean>): boolean {
  const before = cache.get(name);
  if (before !== undefined) return before;
  const verdict = SENSITIVE_NAME.test(name) && !HARMLESS_NAME.test(name);
  if (cache.size < 1_000) cache.set(name, verdict);
  return verdict;
}

function matchBotToken(plain: string, nameStart: number, at: number): SecretMatch | undefined {
  BOT_TOKEN.lastIndex = at + 1;
  if (!BOT_TOKEN.test(plain)) return undefined;
  let from = at;
  while (from > nameStart && isDigit(plain.charCodeAt(from - 1))) from -= 1;
  return { from, to: BOT_TOKEN.lastIndex, name: "telegram" };
}

/** Everything after such a header is secret, up to the end of its line or quote. */
function matchHeader(plain: string, at: number): SecretMatch {
  let from = skipForward(plain, at + 1);
  SCHEME.lastIndex = from;
  if (SCHEME.test(plain)) from = SCHEME.lastIndex;
  let to = from;
  while (to < plain.length && !isEndOfHeader(plain.charCodeAt(to))) to += 1;
  return { from, to, name: to - from >= MIN_VALUE_CHARS ? "authorization" : "" };
}

/** Skips blanks and (escaped) quotes, as in `"token" : "…"` and `\"token\":\"…\"`. */
function skipBack(plain: string, at: number): number {
  let end = at;
  while (end > 0 && at - end < 6 && isPadding(plain.charCodeAt(end - 1))) end -= 1;
  return end;
}

function skipForward(plain: string, from: number): number {
  let at = from;
  while (at < plain.length && at - from < 8 && (isPadding(plain.charCodeAt(at)) || isOperator(plain.charCodeAt(at))))
    at += 1;
  return at;
}

function startOfName(plain: string, end: number): number {
  let start = end;
  while (start > 0 && end - start < MAX_NAME_CHARS && isNamePart(plain.charCodeAt(start - 1))) start -= 1;
  return start;
}

function endOfValue(plain: string, from: number): number {
  let to = from;
  while (to < plain.length && !isEndOfValue(plain.charCodeAt(to))) to += 1;
  return to;
}

function isDigit(unit: number): boolean {
  return unit >= 0x30 && unit <= 0x39;
}

function isNamePart(unit: number): boolean {
  const isLetter = (unit >= 0x41 && unit <= 0x5a) || (unit >= 0x61 && unit <= 0x7a);
  return isLetter || isDigit(unit) || unit === 0x5f || unit === 0x2d || unit === 0x2e;
}

/** A blank, tab, quote or backslash. */
function isPadding(unit: number): boolean {
  return unit === 0x20 || unit === 0x09 || unit === 0x22 || unit === 0x27 || unit === 0x5c || unit === 0x60;
}

/** A character of `:=`, `==` or `=>`. */
function isOperator(unit: number): boolean {
  return unit === EQUALS || unit === COLON || unit === 0x3e;
}

const VALUE_ENDS = new Set(Array.from(" \t\n\"'`,;&<>(){}[]|\\", (end) => end.charCodeAt(0)));

function isEndOfValue(unit: number): boolean {
  return VALUE_ENDS.has(unit);
}

function isEndOfHeader(unit: number): boolean {
  return unit === 0x0a || unit === 0x22 || unit === 0x27 || unit === 0x5c || unit === 0x60;
}

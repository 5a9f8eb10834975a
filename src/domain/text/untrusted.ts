/** Makes untrusted text (from agents, pull requests, logs) storable before it goes to PostgreSQL, Redis or a log. */

/** The maximum size of a field of untrusted text, whatever limit the caller passes. */
export const MAX_STORABLE_BYTES = 65_536;
const MAX_DEPTH = 32;
/** Bounds the walk over large or cyclic values; no real report has more members. */
const MAX_MEMBERS = 10_000;

export type StorableJson = null | boolean | number | string | StorableJson[] | { [key: string]: StorableJson };

/** Removes NUL, repairs surrogates, and truncates to at most `maxBytes` of UTF-8 without splitting a character. */
export function toStorable(text: string, maxBytes: number = MAX_STORABLE_BYTES): string {
  const limit = Math.max(0, Math.min(maxBytes, MAX_STORABLE_BYTES));
  const clean = text.replaceAll("\0", "").toWellFormed();
  if (clean.length * 3 <= limit) return clean;
  const { read } = new TextEncoder().encodeInto(clean, new Uint8Array(limit));
  return clean.slice(0, read);
}

/** Converts to a JSON value that PostgreSQL accepts: depth, members and bytes are bounded, and every text is storable. It never throws. */
export function toStorableJson(value: unknown, maxBytes: number = MAX_STORABLE_BYTES): StorableJson {
  const budget = { bytes: Math.max(0, Math.min(maxBytes, MAX_STORABLE_BYTES)), members: MAX_MEMBERS };
  try {
    return walk(value, 1, budget) ?? null;
  } catch {
    return { unstorable: true };
  }
}

interface WalkBudget {
  bytes: number;
  members: number;
}

function walk(value: unknown, depth: number, budget: WalkBudget): StorableJson | undefined {
  budget.members -= 1;
  if (budget.members < 0 || budget.bytes <= 0) return undefined;
  if (typeof value === "string") return takeText(value, budget);
  if (typeof value === "number") return spend(budget, Number.isFinite(value) ? value : null);
  if (typeof value === "boolean") return spend(budget, value);
  if (typeof value === "bigint") return takeText(value.toString(), budget);
  if (value === null) return spend(budget, null);
  if (typeof value === "object") return walkObject(value, depth, budget);
  return undefined;
}

function walkObject(value: object, depth: number, budget: WalkBudget): StorableJson | undefined {
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : takeText(value.toISOString(), budget);
  if (depth >= MAX_DEPTH) return takeText("[too deep]", budget);
  budget.bytes -= 2;
  if (Array.isArray(value)) return walkArray(value, depth, budget);
  return walkMembers(value, depth, budget);
}

function walkMembers(value: object, depth: number, budget: WalkBudget): StorableJson {
  const members: [string, StorableJson][] = [];
  for (const [key, inner] of Object.entries(value)) {
    if (budget.members <= 0 || budget.bytes <= 0) break;
    // An own `__proto__` is legal JSON, and poison for code that copies the object by assignment.
    if (key === "__proto__") continue;
    const name = takeText(key, budget);
    const member = walk(inner, depth + 1, budget);
    budget.bytes -= 2;
    if (name !== undefined && member !== undefined) members.push([name, member]);
  }
  return Object.fromEntries(members);
}

function walkArray(value: readonly unknown[], depth: number, budget: WalkBudget): StorableJson[] {
  const items: StorableJson[] = [];
  for (const item of value) {
    if (budget.members <= 0 || budget.bytes <= 0) break;
    items.push(walk(item, depth + 1, budget) ?? null);
    budget.bytes -= 1;
  }
  return items;
}

function spend<Value extends number | boolean | null>(budget: WalkBudget, value: Value): Value | undefined {
  budget.bytes -= JSON.stringify(value).length;
  return budget.bytes < 0 ? undefined : value;
}

/** Charges the length as JSON, so that quotes and control characters cannot multiply the stored size. */
function takeText(text: string, budget: WalkBudget): string | undefined {
  const left = budget.bytes - 2;
  if (left <= 0) return undefined;
  const whole = toStorable(text, left);
  const cost = byteLength(JSON.stringify(whole)) - 2;
  const fitted = cost <= left ? whole : toStorable(whole, Math.floor(left / 6));
  budget.bytes -= byteLength(JSON.stringify(fitted));
  return fitted;
}

export function byteLength(text: string): number {
  let bytes = 0;
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    // Each half of a surrogate pair counts as two bytes, because the character takes four.
    const isSurrogate = unit >= 0xd800 && unit <= 0xdfff;
    if (unit < 0x80) bytes += 1;
    else if (unit < 0x800 || isSurrogate) bytes += 2;
    else bytes += 3;
  }
  return bytes;
}

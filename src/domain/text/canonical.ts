/** Canonical JSON (sorted keys, no spaces), which hashes are computed over, and ids that are derived from hashes. */

/** Sorts keys by code units, so that the result does not depend on the locale, and omits undefined values, as JSON.stringify does. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(sortKeys(value)) ?? "null";
}

function sortKeys(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => sortKeys(item));
  if (value instanceof Date) return value.toISOString();
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, item]) => [key, sortKeys(item)]));
}

/** Builds a UUID of version 8 (custom) from the first half of a SHA-256 in hex. */
export function uuidFromHash(sha256: string): string {
  const variant = ((Number.parseInt(sha256.charAt(16), 16) & 0x3) | 0x8).toString(16);
  const parts = [
    sha256.slice(0, 8),
    sha256.slice(8, 12),
    `8${sha256.slice(13, 16)}`,
    `${variant}${sha256.slice(17, 20)}`,
    sha256.slice(20, 32),
  ];
  return parts.join("-");
}

/** JSON that is the same for the same value: sorted keys, no spaces. What hashes are made of; and ids made of hashes. */

/** Keys by their code units, so that no locale has a say; what is undefined is left out, as JSON.stringify does. */
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

/** A uuid of version 8 ("made by its own rule") from the first half of a SHA-256 in hex. */
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

/** Fields that several views share. */

export function toIsoOrNull(date: Date | null | undefined): string | null {
  return date?.toISOString() ?? null;
}

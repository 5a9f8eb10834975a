/** Finding one row by the name that a person gives: its id, the beginning of its id, or its short name. */
import { FleetError } from "../domain/errors.ts";

/** Enough to list what a short prefix matches. */
const MAX_CANDIDATES = 6;
/** One digit would match a sixteenth of everything. */
const NAME = /^[0-9a-f]{2,32}$/;

interface NamedRows<Row> {
  /** What the rows are called in messages. */
  readonly plural: string;
  /** Finds at most `limit` rows by the digits of an id, the first digits of one, or a short name. */
  readonly find: (digits: string, limit: number) => Promise<readonly Row[]>;
  readonly describe: (row: Row) => string;
}

/** Undefined when no row has this name. Throws "ambiguous-name", with the candidates, when several have. */
export async function oneNamed<Row>(
  name: string,
  { plural, find, describe }: NamedRows<Row>,
): Promise<Row | undefined> {
  const digits = name.toLowerCase().replaceAll("-", "");
  const rows = NAME.test(digits) ? await find(digits, MAX_CANDIDATES) : [];
  if (rows.length <= 1) return rows[0];
  const candidates = rows.map(describe);
  const message = `${name} matches several ${plural}: ${candidates.join(", ")}. Give one more character.`;
  throw new FleetError("ambiguous-name", message, { candidates });
}

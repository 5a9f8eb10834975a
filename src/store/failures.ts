/** What PostgreSQL's error codes mean to us: come again, not now, or a bug. */
import { FleetError } from "../domain/errors.ts";

/** Serialization failure, deadlock, lock time-out: the same transaction may well succeed at the next try. */
const TRY_AGAIN = new Set(["40001", "40P01", "55P03"]);
/** Shutting down, starting up, too many connections, out of resources. */
const AWAY = /^(?:08|53|57P|58)/;
const SOCKET = new Set(["ECONNREFUSED", "ECONNRESET", "EPIPE", "ETIMEDOUT", "ENOTFOUND", "EAI_AGAIN", "ENOENT"]);

export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}

export function mayTryAgain(error: unknown): boolean {
  return TRY_AGAIN.has(codeOf(error));
}

function isAway(error: unknown): boolean {
  const code = codeOf(error);
  if (AWAY.test(code) || SOCKET.has(code)) return true;
  // pg has no code for these two.
  return error instanceof Error && /Connection terminated|timeout exceeded when trying to connect/.test(error.message);
}

/** The error as the rest of the house knows it; what is not PostgreSQL being away stays what it is. */
export function translate(error: unknown): unknown {
  if (error instanceof FleetError) return error;
  if (isAway(error) || mayTryAgain(error)) {
    const why = error instanceof Error ? error.message : String(error);
    return new FleetError("database-unavailable", `PostgreSQL does not answer: ${why}`, {}, error);
  }
  return error;
}

/** What PostgreSQL's error codes mean to us: come again, not now, or a bug. */
import { DatabaseError } from "pg";
import { FleetError, messageOf } from "../domain/errors.ts";

/** Serialization failure, deadlock, lock time-out: the same transaction may well succeed at the next try. */
const RETRYABLE_CODES = new Set(["40001", "40P01", "55P03"]);
/** Shutting down, starting up, too many connections, out of resources; a statement or transaction that took too long. */
const UNAVAILABLE_CODES = /^(?:08|53|57P|57014|58|25P0[34])/;
/** pg has no code for these. */
const UNAVAILABLE_MESSAGES =
  /Connection terminated|timeout exceeded when trying to connect|Query read timeout|not queryable|client was closed/i;
const SOCKET_ERROR_CODES = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
  "ENOTFOUND",
  "EAI_AGAIN",
  "ENOENT",
]);

export function pgErrorCode(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}

export function isRetryable(error: unknown): boolean {
  return RETRYABLE_CODES.has(pgErrorCode(error));
}

/** The value itself is refused: a check, a missing one, a text that cannot be stored. No other try can succeed. */
export function isInvalidValue(error: unknown): boolean {
  return /^(?:22|23502|23514)/.test(pgErrorCode(error));
}

/** Whether the connection is still good after this: only an error that the server itself reported and survived. */
export function isConnectionUsable(error: unknown): boolean {
  return error instanceof DatabaseError && error.severity !== "FATAL" && error.severity !== "PANIC";
}

export function isUnavailable(error: unknown): boolean {
  const code = pgErrorCode(error);
  if (UNAVAILABLE_CODES.test(code) || SOCKET_ERROR_CODES.has(code)) return true;
  // A database that takes no connections for now.
  if (code === "55000" && !isConnectionUsable(error)) return true;
  return error instanceof Error && UNAVAILABLE_MESSAGES.test(error.message);
}

/** The error as the rest of the house knows it; what is not PostgreSQL being away stays what it is. */
export function toDomainError(error: unknown): unknown {
  if (error instanceof FleetError) return error;
  if (isUnavailable(error) || isRetryable(error)) {
    const why = messageOf(error);
    return new FleetError("database-unavailable", `PostgreSQL does not answer: ${why}`, {}, error);
  }
  return error;
}

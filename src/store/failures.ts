/** The meaning of PostgreSQL's error codes: retry, unavailable, invalid value, or a bug. */
import { DatabaseError } from "pg";
import { FleetError, messageOf } from "../domain/errors.ts";

/** Serialization failure, deadlock, lock time-out: the same transaction may succeed at the next try. */
const RETRYABLE_CODES = new Set(["40001", "40P01", "55P03"]);
/** The server is starting, stopping or out of resources, or a statement or transaction took too long. */
const UNAVAILABLE_CODES = /^(?:08|53|57P|57014|58|25P0[34])/;
/** pg gives these errors no code. */
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

/** Whether the value itself is refused (a check, a missing value, text that cannot be stored), so that no retry can succeed. */
export function isInvalidValue(error: unknown): boolean {
  return /^(?:22|23502|23514)/.test(pgErrorCode(error));
}

/** Whether the connection is still usable: only after an error that the server itself reported and survived. */
export function isConnectionUsable(error: unknown): boolean {
  return error instanceof DatabaseError && error.severity !== "FATAL" && error.severity !== "PANIC";
}

export function isUnavailable(error: unknown): boolean {
  const code = pgErrorCode(error);
  if (UNAVAILABLE_CODES.test(code) || SOCKET_ERROR_CODES.has(code)) return true;
  // The database accepts no connections for now.
  if (code === "55000" && !isConnectionUsable(error)) return true;
  return error instanceof Error && UNAVAILABLE_MESSAGES.test(error.message);
}

/** Turns unavailability into a FleetError, and leaves every other error as it is. */
export function toDomainError(error: unknown): unknown {
  if (error instanceof FleetError) return error;
  if (isUnavailable(error) || isRetryable(error)) {
    const why = messageOf(error);
    return new FleetError("database-unavailable", `PostgreSQL does not answer: ${why}`, {}, error);
  }
  return error;
}

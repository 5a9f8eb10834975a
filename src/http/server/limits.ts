/** Requests per minute of one address and one operator. Each web process counts for itself, so several allow as many times more. */
import { RateLimiterMemory, RateLimiterRes } from "rate-limiter-flexible";
import { FleetError } from "../../domain/errors.ts";
import type { Operator } from "../../domain/operator.ts";

export interface RateLimits {
  /** Checked before the token, so that guessing tokens counts, too. Throws "rate-limited". */
  address(address: string): Promise<void>;
  operator(operator: Operator): Promise<void>;
}

export interface RateLimitOptions {
  /** Requests per minute. */
  readonly perAddress: number;
  readonly perOperator: number;
}

const WINDOW_SECONDS = 60;

export function openRateLimits({ perAddress, perOperator }: RateLimitOptions): RateLimits {
  const addresses = new RateLimiterMemory({ points: perAddress, duration: WINDOW_SECONDS });
  const operators = new RateLimiterMemory({ points: perOperator, duration: WINDOW_SECONDS });
  return {
    address: (address) => consume(addresses, toNetwork(address), "address"),
    // JSON separates tenant and operator, whatever characters their names have.
    operator: ({ tenantId, id }) => consume(operators, JSON.stringify([tenantId, id]), "operator"),
  };
}

async function consume(limiter: RateLimiterMemory, key: string, whose: string): Promise<void> {
  try {
    await limiter.consume(key);
  } catch (error) {
    if (!(error instanceof RateLimiterRes)) throw error;
    const retryAfterSeconds = Math.max(1, Math.ceil(error.msBeforeNext / 1_000));
    throw new FleetError(
      "rate-limited",
      `This ${whose} may send ${limiter.points} requests per minute. Try again in ${retryAfterSeconds} s.`,
      { retryAfterSeconds, limit: limiter.points, per: whose },
    );
  }
}

/** A client with one address of IPv6 has 2^64 of them, so they share one limit. */
function toNetwork(address: string): string {
  if (!address.includes(":") || address.startsWith("::")) return address;
  const [front = ""] = address.split("::");
  return front.split(":").slice(0, 4).join(":");
}

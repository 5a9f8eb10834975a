/** How much one address and one operator may ask in a minute. Counted by each web process for itself: several let through as many times more. */
import { RateLimiterMemory, RateLimiterRes } from "rate-limiter-flexible";
import { FleetError } from "../../domain/errors.ts";
import type { Operator } from "../../domain/operator.ts";

export interface RateLimits {
  /** Before anybody is asked who they are: guessing tokens is asking, too. Throws "rate-limited". */
  address(address: string): Promise<void>;
  operator(operator: Operator): Promise<void>;
}

export interface RateLimitOptions {
  /** Requests a minute. */
  readonly perAddress: number;
  readonly perOperator: number;
}

const WINDOW_SECONDS = 60;

export function openRateLimits({ perAddress, perOperator }: RateLimitOptions): RateLimits {
  const addresses = new RateLimiterMemory({ points: perAddress, duration: WINDOW_SECONDS });
  const operators = new RateLimiterMemory({ points: perOperator, duration: WINDOW_SECONDS });
  return {
    address: (address) => consume(addresses, toNetwork(address), "address"),
    // JSON keeps a tenant and an operator apart, whatever letters their names have.
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
      `This ${whose} may ask ${limiter.points} times a minute. Ask again in ${retryAfterSeconds} s.`,
      { retryAfterSeconds, limit: limiter.points, per: whose },
    );
  }
}

/** A client with one address of IPv6 has 2^64 of them. */
function toNetwork(address: string): string {
  if (!address.includes(":") || address.startsWith("::")) return address;
  const [front = ""] = address.split("::");
  return front.split(":").slice(0, 4).join(":");
}

/** The command line options of `npm run chaos -- …`. */
import { parseArgs } from "node:util";

export const FAULTS = {
  F1: "worker SIGKILL at a step",
  F1r: "worker SIGKILL at a random moment",
  F1w: "web SIGKILL at a random moment",
  F2: "zombie: worker stopped past lock and lease, then continued",
  F3: "rolling SIGTERM of every worker",
  F5: "Redis SIGKILL, tail of its log cut",
  F6: "Redis FLUSHALL",
  F10: "every PostgreSQL backend terminated",
  F22: "every job delivered three times, shuffled, delayed",
} as const;
export type Fault = keyof typeof FAULTS;

export interface ChaosOptions {
  readonly tasks: number;
  readonly faults: readonly Fault[];
  readonly seed: number;
  readonly queue: "postgres" | "redis";
  readonly keep: boolean;
  readonly slots: number;
  readonly verbose: boolean;
}

const NEEDS_REDIS: ReadonlySet<Fault> = new Set(["F5", "F6"]);

export function readOptions(args: readonly string[]): ChaosOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      tasks: { type: "string", default: "1000" },
      faults: { type: "string" },
      seed: { type: "string" },
      queue: { type: "string", default: "redis" },
      slots: { type: "string", default: "10" },
      keep: { type: "boolean", default: false },
      verbose: { type: "boolean", default: false },
    },
  });
  const queue = values.queue === "postgres" ? "postgres" : "redis";
  const requested = values.faults === "none" ? [] : (values.faults?.split(",") ?? Object.keys(FAULTS));
  const unknown = requested.filter((name) => !isFault(name));
  if (unknown.length > 0)
    throw new Error(`There is no fault ${unknown.join(", ")}. There are: ${Object.keys(FAULTS).join(", ")}`);
  const faults = requested.filter(isFault).filter((fault) => queue === "redis" || !NEEDS_REDIS.has(fault));
  const seed = values.seed === undefined ? Math.floor(Math.random() * 1e9) : parseWholeNumber("seed", values.seed);
  return {
    tasks: parseWholeNumber("tasks", values.tasks),
    slots: parseWholeNumber("slots", values.slots),
    faults,
    seed,
    queue,
    keep: values.keep,
    verbose: values.verbose,
  };
}

function isFault(name: string): name is Fault {
  return Object.hasOwn(FAULTS, name);
}

function parseWholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) throw new Error(`--${name} must be a whole number.`);
  return value;
}

export function shuffle<Item>(items: readonly Item[], random: () => number): Item[] {
  const list = [...items];
  for (let at = list.length - 1; at > 0; at -= 1) {
    const other = Math.floor(random() * (at + 1));
    const one = list[at];
    const two = list[other];
    if (one !== undefined && two !== undefined) [list[at], list[other]] = [two, one];
  }
  return list;
}

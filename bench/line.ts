/** One line of the scoreboard: what was measured, the reference, the target, and whether it is met. */
import { computeDifferences, computeQuartiles, computeRatios, type Quartiles } from "./rounds.ts";

export type Target = { readonly atLeast: number } | { readonly atMost: number };
export type Verdict = "met" | "noise" | "missed" | "wrong" | "shown";
/** What the target applies to: ours / reference, ours − reference, or ours alone. */
export type Compared = "ratio" | "difference" | "value";

export interface ScoreLine {
  readonly row: string;
  readonly what: string;
  readonly reference: string;
  readonly unit: string;
  readonly ours: Quartiles;
  /** Undefined where the target applies to ours alone. */
  readonly theirs: Quartiles | undefined;
  readonly compared: Compared;
  readonly result: Quartiles;
  readonly target: Target | undefined;
  readonly verdict: Verdict;
  /** Why it misses the target, as far as known. */
  readonly reason: string | undefined;
  /** The mismatches that were found; with any of them the line scores nothing. */
  readonly wrong: readonly string[];
  /** Additional observations: other percentiles, plans. */
  readonly notes: readonly string[];
}

export interface ScoreLineOptions {
  readonly row: string;
  readonly what: string;
  readonly reference: string;
  readonly unit: string;
  /** The default is ratio. */
  readonly compared?: Compared;
  /** Without a target the line is shown, not judged. */
  readonly target?: Target;
  readonly reason?: string;
  readonly wrong?: readonly string[];
  readonly notes?: readonly string[];
}

/** A difference below this share is normal variation of the machine. */
const NOISE_SHARE = 0.1;

export function toScoreLine(options: ScoreLineOptions, ours: readonly number[], theirs?: readonly number[]): ScoreLine {
  const { compared = "ratio", target, reason, wrong = [], notes = [], ...labels } = options;
  const result = computeQuartiles(compare(compared, ours, theirs));
  return {
    ...labels,
    ours: computeQuartiles(ours),
    theirs: theirs && computeQuartiles(theirs),
    compared,
    result,
    target,
    verdict: computeVerdict(result.median, target, wrong),
    reason,
    wrong,
    notes,
  };
}

export function computeVerdict(value: number, target: Target | undefined, wrong: readonly string[] = []): Verdict {
  if (wrong.length > 0) return "wrong";
  if (!target) return "shown";
  const [bound, missedBy] =
    "atLeast" in target ? [target.atLeast, target.atLeast - value] : [target.atMost, value - target.atMost];
  if (missedBy <= 0) return "met";
  return missedBy < Math.abs(bound) * NOISE_SHARE ? "noise" : "missed";
}

function compare(
  compared: Compared,
  ours: readonly number[],
  theirs: readonly number[] | undefined,
): readonly number[] {
  if (compared === "value") return ours;
  if (!theirs) throw new Error("A comparison needs a reference.");
  return compared === "ratio" ? computeRatios(ours, theirs) : computeDifferences(ours, theirs);
}

/** The arithmetic of the scoreboard: quartiles, ratios of pairs, verdicts. Nothing here is timed. */
import { expect, test } from "vitest";
import { toScoreLine, computeVerdict, type Target, type Verdict } from "../../bench/line.ts";
import { interleave, computeQuartiles, computeRatios, computePercentiles, rotate } from "../../bench/rounds.ts";
import { formatNumber, tableLines } from "../../bench/table.ts";

test("quartiles are interpolated between the values, in any input order", () => {
  expect(computeQuartiles([4, 1, 3, 2])).toEqual({ low: 1.75, median: 2.5, high: 3.25 });
  expect(computeQuartiles([7])).toEqual({ low: 7, median: 7, high: 7 });
  expect(computePercentiles(Array.from({ length: 101 }, (_, at) => at))).toEqual({ p50: 50, p95: 95, p99: 99 });
});

test("without a value there is no quartile, and without its pair no ratio", () => {
  expect(() => computeQuartiles([])).toThrow("Nothing was measured.");
  expect(() => computeRatios([1, 2], [1])).toThrow("in every round");
  expect(computeRatios([6, 2], [3, 4])).toEqual([2, 0.5]);
});

test("contenders take turns at going first", async () => {
  const order: string[] = [];
  const contender = (name: string) => async (round: number) => {
    order.push(`${name}${round}`);
    return { ms: round };
  };
  const samples = await interleave(3, contender("ours"), contender("theirs"));
  expect(order).toEqual(["ours0", "theirs0", "theirs1", "ours1", "ours2", "theirs2"]);
  expect(samples.ours).toEqual([{ ms: 0 }, { ms: 1 }, { ms: 2 }]);
  expect(rotate(["a", "b", "c"], 4)).toEqual(["b", "c", "a"]);
});

test.each<[number, Target, Verdict]>([
  [4, { atLeast: 4 }, "met"],
  [3.7, { atLeast: 4 }, "noise"],
  [3.5, { atLeast: 4 }, "missed"],
  [1.5, { atMost: 1.5 }, "met"],
  [1.6, { atMost: 1.5 }, "noise"],
  [1.7, { atMost: 1.5 }, "missed"],
  [0, { atMost: 0 }, "met"],
  [1, { atMost: 0 }, "missed"],
])("%d against %o is %s", (value, target, verdict) => {
  expect(computeVerdict(value, target)).toBe(verdict);
});

test("a wrong result scores nothing, however fast it was", () => {
  expect(computeVerdict(100, { atLeast: 1 }, ["3 rows, not 4"])).toBe("wrong");
});

test("a line compares pairs of one round, and gives the reason for a miss", () => {
  const expected = {
    row: "1",
    what: "moves",
    reference: "by hand",
    unit: "ms",
    target: { atMost: 1.5 },
    reason: "it is slow",
  };
  const line = toScoreLine(expected, [2, 40], [1, 10]);
  expect(line.result.median).toBe(3);
  expect(tableLines([line]).join("\n")).toContain("why: it is slow");
  expect(tableLines([toScoreLine(expected, [1], [1])]).join("\n")).not.toContain("it is slow");
  expect(toScoreLine({ ...expected, compared: "difference" }, [3, 5], [1, 1]).result.median).toBe(3);
});

test("figures are printed with three digits", () => {
  expect([0.123, 12.34, 123.4, 12_345].map(formatNumber)).toEqual(["0.12", "12.3", "123", "12,345"]);
});

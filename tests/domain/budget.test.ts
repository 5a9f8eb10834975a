/** Budgets: usage that agents report is validated; limits apply at 100 % and warn at 80 %. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { reachedCaps, parseUsage, firstReachedCap, resetAt, WARN_SHARE } from "../../src/domain/budget.ts";

test.each([
  ["one line", '{"tokens_in":10,"tokens_out":5,"cost_usd":0.5}\n', { tokens: 15, cost: 0.5 }],
  ["only one figure", '{"tokens_out":5}', { tokens: 5, cost: null }],
  [
    "the largest of several",
    '{"tokens_in":10}\n{"tokens_in":30}\n{"tokens_in":20,"cost_usd":1}',
    { tokens: 30, cost: 1 },
  ],
  ["what other words stand beside", '{"tokens_in":1,"model":"x"}', { tokens: 1, cost: null }],
  ["a line that is cut off", '{"tokens_in":7}\n{"tokens_in":9', { tokens: 7, cost: null }],
  ["nothing", "", undefined],
  ["no JSON", "tokens: 12", undefined],
  ["nothing of use", '{"model":"x"}\n[]\nnull\n"1"', undefined],
  ["less than nothing", '{"tokens_in":-5}', undefined],
  ["parts of tokens", '{"tokens_in":1.5}', undefined],
  ["figures beyond belief", '{"tokens_in":1e300,"cost_usd":1e300}', undefined],
  ["no figures", '{"tokens_in":"12","cost_usd":null}', undefined],
  ["a prototype", '{"__proto__":{"tokens_in":5}}', undefined],
])("from usage in %s the plausible part is read", (_, text, usage) => {
  expect(parseUsage(text)).toEqual(usage);
});

test("whatever an agent writes, nothing is thrown and nothing is below zero", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.json().map((text) => `{"tokens_in":3}\n${text}`),
      ),
      (text) => {
        const usage = parseUsage(text);
        expect(usage?.tokens ?? 0).toBeGreaterThanOrEqual(0);
        expect(usage?.cost ?? 0).toBeGreaterThanOrEqual(0);
      },
    ),
  );
});

test("a budget is reached when all of it is used, and its warning at four fifths", () => {
  expect(firstReachedCap({ tokens: 100 }, { tokens: 99 })).toBeUndefined();
  expect(firstReachedCap({ tokens: 100 }, { tokens: 100 })).toMatchObject({ what: "tokens", limit: 100, used: 100 });
  expect(reachedCaps({ tokens: 100, cost: 1 }, { tokens: 80, cost: 0.79 }, WARN_SHARE)).toMatchObject([
    { what: "tokens" },
  ]);
  expect(firstReachedCap({}, { tokens: 1e9 })).toBeUndefined();
  expect(firstReachedCap({ tokens: 5 }, {})).toBeUndefined();
});

test("daily caps reset at midnight UTC, budgets never automatically", () => {
  const now = new Date("2026-12-31T23:59:59Z");

  expect(resetAt({ daily: true }, now)).toEqual(new Date("2027-01-01T00:00:00Z"));
  expect(resetAt({ daily: false }, now)).toBeNull();
});

/** Terminal output of agents: what remains as plain text, and how it is displayed. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { escapeForTerminal, escapeLine } from "../../../src/domain/text/escape.ts";
import { plainText, stripTerminal } from "../../../src/domain/text/terminal-text.ts";
import hostile from "../../hostile/terminal-output.json" with { type: "json" };

/** Written independently of the code under test, by Unicode category. */
const UNSAFE = /[\p{Cc}\p{Cs}\p{Cf}\u2028\u2029\u115f\u1160\u3164\uffa0]/u;

const garbage = fc.oneof(
  fc.string({ unit: "binary" }),
  fc
    .array(
      fc.constantFrom(
        "\x1b",
        "[",
        "]",
        "P",
        "\\",
        "\x07",
        "\r",
        "\n",
        "\b",
        "a",
        "é",
        "😀",
        "\x9b",
        "\u202e",
        "\ud800",
      ),
    )
    .map((parts) => parts.join("")),
);

describe("plain text of", () => {
  test.each(hostile.cases)("$name", ({ text, plain }) => {
    expect(stripTerminal(text)).toBe(plain);
    expect(plain.replaceAll(/[\n\t\u2028\u2029]/g, "")).not.toMatch(UNSAFE);
  });
});

describe("displayed text contains no control sequence from", () => {
  test.each(hostile.cases)("$name", ({ text }) => {
    expect(escapeForTerminal(text).replaceAll(/[\n\t]/g, "")).not.toMatch(UNSAFE);
    expect(escapeLine(text)).not.toMatch(UNSAFE);
  });
});

test("any text displayed as a line stays one line and controls nothing", () => {
  fc.assert(
    fc.property(garbage, (text) => {
      expect(escapeLine(text)).not.toMatch(UNSAFE);
    }),
  );
});

test("escaping escaped text changes nothing, and one character becomes at most ten", () => {
  fc.assert(
    fc.property(garbage, (text) => {
      const once = escapeForTerminal(text);

      expect(escapeForTerminal(once)).toBe(once);
      expect(once.length).toBeLessThanOrEqual(text.length * 10);
    }),
  );
});

test("escaped text names the character it hides", () => {
  expect(escapeForTerminal("a\x1b[31m\u202eb\u{e0041}\tc\nd")).toBe("a\\u{1b}[31m\\u{202e}b\\u{e0041}\tc\nd");
  expect(escapeLine("one\n[FLEET] two")).toBe("one\\u{a}[FLEET] two");
  expect(escapeLine("Café ✔️ 日本 😀")).toBe("Café ✔️ 日本 😀");
});

test("ordinary text of any language is unchanged", () => {
  for (const text of ["plain ascii", "Café", "日本語のログ", "😀 ok", "tab\tand\nline"]) {
    expect(stripTerminal(text)).toBe(text);
    expect(escapeForTerminal(text)).toBe(text);
  }
});

test("plain text stays the same when processed again", () => {
  fc.assert(
    fc.property(garbage, (text) => {
      expect(plainText(plainText(text))).toBe(plainText(text));
    }),
  );
});

test("redaction sees every overwritten part, as a separate line", () => {
  expect(plainText("first\rsecond\r\nthird")).toBe("first\nsecond\nthird");
});

test("an unpaired surrogate does not let an escape sequence through", () => {
  expect(stripTerminal("\ud800\x1b[31mx")).toBe("\ud800x");
});

/** What redaction must remove, in every form, and what it must not change. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createRedactor } from "../../../src/domain/text/redact.ts";
import { SECRET_PATTERNS } from "../../../src/domain/text/secret-patterns.ts";
import hostile from "../../hostile/secrets.json" with { type: "json" };

interface Case {
  readonly name: string;
  readonly text: readonly string[];
  readonly gone: readonly string[];
  readonly values?: readonly string[];
  readonly whole?: boolean;
}
const cases: readonly Case[] = hostile.secrets;

test("the list is long enough to be meaningful", () => {
  expect(cases.length).toBeGreaterThanOrEqual(40);
  expect(new Set(SECRET_PATTERNS.map(({ name }) => name)).size).toBeGreaterThanOrEqual(20);
});

describe("a secret is redacted", () => {
  test.each(cases)("$name", ({ text, gone, values = [] }) => {
    const redacted = createRedactor({ values }).redact(text.join(""));

    expect(redacted).toContain("[redacted:");
    for (const part of gone) expect(redacted).not.toContain(part);
  });
});

describe("a secret that is split anywhere between two chunks is redacted", () => {
  test.each(cases.filter(({ whole }) => !whole))("$name", ({ text, gone, values = [] }) => {
    const whole = `before\n${text.join("")}\nafter\n`;
    for (let cut = 0; cut <= whole.length; cut += 1) {
      const stream = createRedactor({ values }).stream();
      const shown = stream.push(whole.slice(0, cut)) + stream.push(whole.slice(cut)) + stream.end();
      for (const part of gone) expect(shown).not.toContain(part);
    }
  });
});

describe("text without a secret is unchanged", () => {
  test.each(hostile.survivors)("$name", ({ text }) => {
    expect(createRedactor({ values: ["correct/horse+battery=Staple"] }).redact(text)).toBe(text);
  });
});

const secretValue = fc
  .string({ minLength: 8, maxLength: 40, unit: "grapheme-ascii" })
  .filter((value) => value.trim().length >= 8);
const pieces = fc.array(
  fc.oneof(
    fc.string({ unit: "binary" }),
    fc.constantFrom("\n", "\r", "\x1b[1m", "-----BEGIN X PRIVATE KEY-----", "token=", "://a:b@"),
  ),
);

test("a known value is found anywhere", () => {
  fc.assert(
    fc.property(secretValue, fc.string(), fc.string(), (value, before, after) => {
      const shown = createRedactor({ values: [value] }).redact(`${before} ${value} ${after}`);

      expect(shown.replaceAll(/\[redacted:[a-z-]+\]/g, "")).not.toContain(value.trim());
    }),
  );
});

/** Similar characters (l, I, O, 0, 1) are left out, as vendors do. */
const LETTERS = Array.from({ length: 128 }, (_, code) => String.fromCodePoint(code)).filter((letter) =>
  /[a-km-zA-HJ-NP-Z2-9]/.test(letter),
);

const drawn = (length: number) =>
  fc
    .array(fc.constantFrom(...LETTERS), {
      minLength: length,
      maxLength: length,
    })
    .map((letters) => letters.join(""))
    .filter((key) => /[a-z]/.test(key) && /[A-Z]/.test(key) && /[2-9]/.test(key) && new Set(key).size > 8);
const generatedKey = fc.oneof(
  drawn(36).map((key) => ({ key, text: `ghp_${key}` })),
  drawn(20).map((key) => ({ key, text: `glpat-${key}` })),
  drawn(90).map((key) => ({ key, text: `sk-ant-api03-${key}` })),
  drawn(36).map((key) => ({ key, text: `npm_${key}` })),
  drawn(24).map((key) => ({ key, text: `password=${key}` })),
  drawn(24).map((key) => ({ key, text: `https://user:${key}@example.com/` })),
);

test("a generated key is always removed, coloured or not, and the text grows by its masks at most", () => {
  const around = fc.tuple(fc.lorem({ maxCount: 4 }), fc.lorem({ maxCount: 4 }));
  fc.assert(
    fc.property(around, generatedKey, fc.option(fc.nat(20)), ([before, after], { key, text }, at) => {
      const cut = text.indexOf(key) + (at ?? 0);
      const shown = at === null ? text : `${text.slice(0, cut)}\u001b[1m${text.slice(cut)}`;
      const redacted = createRedactor().redact(`${before} ${shown} ${after}`);

      expect(redacted).not.toContain(key);
      const masks = redacted.match(/\[redacted:/g)?.length ?? 0;
      expect(redacted.length).toBeLessThanOrEqual(before.length + shown.length + after.length + 2 + masks * 40);
    }),
  );
});

test("redacting twice changes nothing more", () => {
  fc.assert(
    fc.property(pieces, (parts) => {
      const { redact } = createRedactor({ values: ["Hidden-Value1"] });
      const once = redact(parts.join("Hidden-Value1"));

      expect(redact(once)).toBe(once);
    }),
  );
});

test("text in many chunks gives the same result as in one", () => {
  const lines = fc.array(
    fc.oneof(fc.lorem({ maxCount: 5 }), fc.constantFrom("password=Abc123Def456", "my Hidden-Value1", "")),
    { maxLength: 30 },
  );
  fc.assert(
    fc.property(lines, fc.array(fc.nat(200), { maxLength: 20 }), (texts, cuts) => {
      const { redact, stream } = createRedactor({ values: ["Hidden-Value1"] });
      const whole = texts.join("\n");
      const pieceEnds = [...cuts.map((cut) => cut % (whole.length + 1)), whole.length].toSorted((a, b) => a - b);
      const flow = stream();
      let shown = "";
      let from = 0;
      for (const end of pieceEnds) {
        shown += flow.push(whole.slice(from, end));
        from = end;
      }

      expect(shown + flow.end()).toBe(redact(whole));
    }),
  );
});

test("a line longer than the buffer is shown in parts, and a key in it is still found", () => {
  const key = `ghp_${"a1B2".repeat(9)}`;
  const whole = `${"x ".repeat(60_000)}${key}${" y".repeat(60_000)}`;
  const flow = createRedactor().stream();
  let shown = "";
  let before = 0;
  for (let at = 0; at < whole.length; at += 1_000) {
    shown += flow.push(whole.slice(at, at + 1_000));
    if (at === 200_000) before = shown.length;
  }
  shown += flow.end();

  expect(before).toBeGreaterThan(0);
  expect(shown).toBe(createRedactor().redact(whole));
  expect(shown).not.toContain(key);
});

test("in an endless line a name and its value stay together, wherever the parts end", () => {
  const held = 8_192 + 128;
  for (let before = 0; before < 40; before += 1) {
    const head = "x ".repeat(32_000);
    const tail = " y".repeat(held).slice(0, held - 21 + before);
    const flow = createRedactor().stream();
    const shown = flow.push(`${head}password=Abc123Def456${tail}`) + flow.end();

    expect(shown).not.toContain("Abc123Def456");
  }
});

test("a wrapped value is masked to its last character, and the text after it stays", () => {
  const { redact } = createRedactor({ values: ["Hidden-Value1"] });

  expect(redact("a\nb\nit is Hid\nden-V\nalue1, then\nmore Hidden-Value1\nc")).toBe(
    "a\nb\nit is [redacted:value], then\nmore [redacted:value]\nc",
  );
});

test("no pattern backtracks without bound: each is sticky, starts with a literal, and has no nested repetition", () => {
  for (const { regex, prefixes } of SECRET_PATTERNS) {
    expect(regex.flags).toContain("y");
    for (const start of prefixes) expect(start.length).toBeGreaterThanOrEqual(3);
    // A group with a quantifier inside and `+`, `*` or `{n,}` after it is what backtracks without bound.
    expect(regex.source).not.toMatch(/[+*}]\)(?:[+*]|\{[0-9]+,\})/);
    expect(regex.source).not.toContain(".*");
  }
});

test("work grows linearly with the text, not quadratically", () => {
  const bait = [
    "eyJaaaaaaaa.",
    "-----BEGIN PRIVATE KEY-----\n",
    "token=",
    "://a:",
    "sk-",
    "Bearer ",
    "\x1b]",
    "a\b",
    "1:",
  ];
  const { redact } = createRedactor({ values: ["Hidden-Value1"] });
  for (const text of bait) expect(redact(text.repeat(100_000)).length).toBeGreaterThanOrEqual(0);
});

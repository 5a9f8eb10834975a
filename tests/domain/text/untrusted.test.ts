/** Untrusted text and JSON, made valid for PostgreSQL and limited to 64 KB. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { byteLength, MAX_STORABLE_BYTES, toStorable, toStorableJson } from "../../../src/domain/text/untrusted.ts";

const anyText = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.constantFrom("\0", "\ud800", "a\udc00b", "😀".repeat(20_000), "日".repeat(30_000)),
);

test("any text becomes well-formed, without NUL, and within its size", () => {
  fc.assert(
    fc.property(anyText, fc.nat(70_000), (text, most) => {
      const stored = toStorable(text, most);

      expect(stored).not.toContain("\0");
      expect(stored.isWellFormed()).toBe(true);
      expect(Buffer.byteLength(stored)).toBeLessThanOrEqual(Math.min(most, MAX_STORABLE_BYTES));
    }),
  );
});

test("a cut is between characters, never within one", () => {
  expect(toStorable("a😀b", 4)).toBe("a");
  expect(toStorable("a😀b", 5)).toBe("a😀");
  expect(toStorable("é".repeat(40_000))).toHaveLength(MAX_STORABLE_BYTES / 2);
});

test("text that fits is unchanged", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: "grapheme" }).filter((text) => !text.includes("\0")),
      (text) => {
        expect(toStorable(text)).toBe(text);
      },
    ),
  );
});

test("byteLength counts as UTF-8 does", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), (text) => {
      expect(byteLength(text)).toBe(Buffer.byteLength(text));
    }),
  );
});

test("any value becomes JSON of at most 64 KB", () => {
  fc.assert(
    fc.property(
      fc.anything({ withBigInt: true, withDate: true, withNullPrototype: true }),
      fc.integer({ min: 2, max: 500 }),
      (value, most) => {
        for (const bytes of [most, MAX_STORABLE_BYTES]) {
          const text = JSON.stringify(toStorableJson(value, bytes));

          expect(Buffer.byteLength(text)).toBeLessThanOrEqual(bytes + 32);
          expect(text).not.toContain("\\u0000");
        }
      },
    ),
  );
});

test("JSON that is small and clean is unchanged", () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
      const clean: unknown = JSON.parse(
        JSON.stringify(value, (_key, inner: unknown) => inner).replaceAll(String.raw`\u0000`, ""),
      );
      fc.pre(!JSON.stringify(clean).includes("__proto__"));

      expect(toStorableJson(clean)).toEqual(clean);
    }),
  );
});

test("a value that refers to itself, is too deep, or throws when read is stored as far as possible", () => {
  const loop: Record<string, unknown> = { name: "loop" };
  loop["again"] = [loop, loop];
  let deep: unknown = "bottom";
  for (let level = 0; level < 10_000; level += 1) deep = [deep];
  const trap = {
    get field(): string {
      throw new Error("no");
    },
  };

  expect(JSON.stringify(toStorableJson(loop)).length).toBeLessThanOrEqual(MAX_STORABLE_BYTES);
  expect(JSON.stringify(toStorableJson(deep))).toContain("[too deep]");
  expect(toStorableJson(trap)).toEqual({ unstorable: true });
  expect(toStorableJson(undefined)).toBeNull();
});

test("a prototype key is left out", () => {
  expect(toStorableJson(JSON.parse('{"__proto__":{"admin":true},"a":1}'))).toEqual({ a: 1 });
});

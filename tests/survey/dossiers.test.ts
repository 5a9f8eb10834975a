/** The front matter of untrusted files: parsed, or refused with a line; without exceptions and within limits. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { splitFrontMatter } from "../../src/domain/science/front-matter.ts";
import { parseDossier } from "../../src/survey/dossiers.ts";

const HEAD = `dossier_id: D-1
topic: Prices
status: running
created_at: 2026-01-31
owner: ada
hypothesis: It is faster.`;

test("the values between the fences are returned unchanged, and the text below has no effect", () => {
  const line = fc
    .string()
    .map((text) => text.replaceAll(/[\r\n]/g, ""))
    .filter((text) => !/^(?:---|\.\.\.)[ \t]*$/.test(text));
  fc.assert(
    fc.property(fc.array(line, { maxLength: 20 }), fc.string(), fc.constantFrom("\n", "\r\n"), (lines, body, end) => {
      const split = splitFrontMatter(["---", ...lines, "---", body].join(end));

      expect(split).toEqual({ ok: true, yaml: lines.join("\n"), firstLine: 2 });
    }),
  );
});

test("no text causes an exception, and each refusal has a reason", () => {
  const yaml = fc.oneof(
    fc.string(),
    fc.json(),
    fc.constantFrom(
      "a: &a [*a]",
      "__proto__: {x: 1}",
      "? [a]\n: b",
      "- a",
      "!!js/function 'x'",
      "a: *none",
      "dossier_id: 1\ndossier_id: 2",
      `a: &a [1,1]\n${Array.from({ length: 30 }, (_, at) => `k${at}: &k${at} [*a, *a]`).join("\n")}`,
    ),
  );
  fc.assert(
    fc.property(yaml, (text) => {
      for (const whole of [text, `---\n${text}\n---\n`]) {
        const read = parseDossier(whole);
        if (read.ok) continue;
        expect(read.problems.length).toBeGreaterThan(0);
        for (const { line, message } of read.problems) {
          expect(message).not.toBe("");
          expect(line === null || line >= 1).toBe(true);
        }
      }
    }),
  );
});

test("a dossier is read without its unknown keys, with a numeric id, and with one link instead of a list", () => {
  const read = parseDossier(`---\n${HEAD.replace("D-1", "17")}\nevidence: https://example.com\nmine: {a: 1}\n---\n`);

  expect(read).toEqual({
    ok: true,
    head: {
      dossier_id: "17",
      topic: "Prices",
      status: "running",
      created_at: new Date("2026-01-31"),
      owner: "ada",
      hypothesis: "It is faster.",
      evidence: ["https://example.com"],
    },
  });
});

test.each([
  ["a fence that never closes", `---\n${HEAD}\n`, 8, "has no end"],
  ["a key that stands twice", `---\n${HEAD}\ntopic: Again\n---\n`, 8, "unique"],
  ["an id that could be a path", `---\n${HEAD.replace("D-1", "../../etc")}\n---\n`, 2, "letters, digits"],
  ["text that is far too long", `---\n${HEAD.replace("Prices", "p".repeat(400))}\n---\n`, 3, "longer than 300"],
  ["megabytes of keys", `---\n${"k: v\n".repeat(20)}${"x".repeat(20_000)}: 1\n---\n`, 1, "longer than"],
])("%s is refused at its line", (_what, text, line, why) => {
  const read = parseDossier(text);

  expect(read.ok).toBe(false);
  if (read.ok) return;
  expect(read.problems[0]?.message).toContain(why);
  expect(read.problems[0]?.line).toBe(line);
});

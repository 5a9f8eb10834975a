/** Diffs cut to size: by file for reviewers, by hunk for retry prompts, and every cut is marked. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { truncateDiffByFile, lastHunks, splitDiff } from "../../../src/domain/text/diff.ts";

const fileA = `diff --git a/a.ts b/a.ts
index 1..2 100644
--- a/a.ts
+++ b/a.ts
@@ -1,2 +1,2 @@
-old
+new
 same
@@ -9 +9,2 @@
+more
+most
`;
const gone = `diff --git a/gone.ts b/gone.ts
deleted file mode 100644
--- a/gone.ts
+++ /dev/null
@@ -1 +0,0 @@
-bye
`;
const binary = `diff --git a/i.png b/i.png
Binary files a/i.png and b/i.png differ
`;

test("a diff is split into files with their counts", () => {
  expect(splitDiff(fileA + gone + binary).map(({ path, added, removed }) => ({ path, added, removed }))).toEqual([
    { path: "a.ts", added: 3, removed: 1 },
    { path: "gone.ts", added: 0, removed: 1 },
    { path: "i.png", added: 0, removed: 0 },
  ]);
  expect(splitDiff("no diff at all")).toEqual([]);
  expect(splitDiff("diff --git \n")[0]?.path).toBe("?");
});

describe("cutDiffByFile", () => {
  test("a diff that fits is unchanged", () => {
    expect(truncateDiffByFile(fileA + gone, { maxPerFile: 1_000, maxTotal: 1_000 })).toMatchObject({
      text: fileA + gone,
      truncated: false,
    });
  });

  test("a long file is cut at a line and marked; the others stay whole", () => {
    const cut = truncateDiffByFile(fileA + gone, { maxPerFile: 115, maxTotal: 1_000 });

    expect(cut.files.map(({ cut: how }) => how)).toEqual(["part", "whole"]);
    expect(cut.text).toContain(`[… a.ts: `);
    expect(cut.text).toContain(gone);
  });

  test("files without room are named", () => {
    const cut = truncateDiffByFile(fileA + gone, { maxPerFile: 1_000, maxTotal: fileA.length });

    expect(cut.files.at(-1)).toMatchObject({ path: "gone.ts", cut: "left_out" });
    expect(cut.text).toContain(`[… gone.ts: ${gone.length} of ${gone.length} characters left out …]`);
  });

  test("shows no more than allowed, plus the notes", () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(fileA, gone, binary), { maxLength: 6 }),
        fc.nat(300),
        fc.nat(600),
        (files, mostPerFile, mostTotal) => {
          const { text } = truncateDiffByFile(files.join(""), { maxPerFile: mostPerFile, maxTotal: mostTotal });
          expect(text.replaceAll(/^\[… .* …\]\n/gm, "").length).toBeLessThanOrEqual(mostTotal);
        },
      ),
    );
  });
});

describe("lastHunks", () => {
  test("returns all hunks, the last first, each under its file's name", () => {
    expect(
      lastHunks(fileA + gone + binary, 2_000)
        .split("\n")
        .filter((line) => /^(---|@@|Binary)/.test(line)),
    ).toEqual([
      "Binary files a/i.png and b/i.png differ",
      "--- gone.ts",
      "@@ -1 +0,0 @@",
      "--- a.ts",
      "@@ -9 +9,2 @@",
      "--- a.ts",
      "@@ -1,2 +1,2 @@",
    ]);
  });

  test("what does not fit is omitted and marked", () => {
    expect(lastHunks(fileA + gone, 70)).toBe("--- gone.ts\n@@ -1 +0,0 @@\n-bye\n[… earlier hunks left out …]\n");
  });

  test("of a hunk that is too long by itself the beginning remains", () => {
    const long = fileA.replace("+most", "+most\n".repeat(100));

    expect(lastHunks(long, 60)).toBe("--- a.ts\n@@ -9 +9,2 @@\n+more\n[… earlier hunks left out …]\n".slice(0, 60));
  });

  test("is never longer than requested", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(fileA, gone, binary), { maxLength: 4 }), fc.nat(500), (files, most) => {
        expect(lastHunks(files.join(""), most).length).toBeLessThanOrEqual(most);
      }),
    );
  });

  test("an empty diff gives an empty text", () => {
    expect(lastHunks("", 100)).toBe("");
  });
});

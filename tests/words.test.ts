/** Phrases that confuse readers must not come back. Single words are in `flagWords` of cspell.json. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path/posix";
import { expect, test } from "vitest";

/** Each with the usual phrase instead. */
const PHRASES: readonly (readonly [phrase: RegExp, instead: string])[] = [
  [/\b(?:take|takes|taken|taking|took) (?:\w+ )?back\b/gi, "revoke, revert, undo"],
  [/\bby the clock\b/gi, "on schedule"],
  [/\bpast (?:its|their) keeping\b/gi, "past retention"],
  [/\bno such thing\b/gi, "not found"],
  [/\bwent two ways\b/gi, "have diverged"],
  [/\bhalf a character\b/gi, "an unpaired surrogate"],
  [/\bgo(?:es)? on to hold\b/gi, "is kept, stays in force"],
  [/\bbelieved no longer\b/gi, "revoked"],
  [/\b(?:const|let|function|class|interface|type) \w*(?:[nN]o|[sS]ome|[aA]ny)body\w*/g, "user, operator, caller"],
];

const FOLDERS = ["src", "queues", "processors", "schedules", "tests", "bench", "scripts", "docs"];
const TEXT = /\.(?:ts|mjs|sh|sql|md|ya?ml)$/;
const OWN = "tests/words.test.ts";

const files = [
  ...FOLDERS.flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: "utf8" }).map((name) => join(folder, name)),
  ),
  ...readdirSync("."),
].filter((file) => TEXT.test(file) && file !== OWN);

test.each(PHRASES)("nothing says %s; say: %s", (phrase) => {
  const found = files.flatMap((file) =>
    [...readFileSync(file, "utf8").replaceAll(/\s+/g, " ").matchAll(phrase)].map(([text]) => `${file}: ${text}`),
  );

  expect(found).toEqual([]);
});

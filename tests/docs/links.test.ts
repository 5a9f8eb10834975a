/**
 * The documentation: every link, file, function, `fleet` command and setting in it exists, and every sample is valid.
 */
import { existsSync } from "node:fs";
import { access, readdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { Config } from "../../src/environment.ts";
import { COMMANDS } from "../../src/cli/main.ts";
import { parseSettings } from "../../src/domain/settings/settings.ts";

const PAGES = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", ...(await pagesIn("docs"))];
/** Named like settings: an event, and variables that a product's command gets. */
const OTHERS = new Set(["FLEET_OVERLOAD", "FLEET_EVIDENCE", "FLEET_USAGE"]);

async function pagesIn(folder: string): Promise<string[]> {
  const files = await readdir(folder, { recursive: true });
  return files.filter((file) => file.endsWith(".md")).map((file) => join(folder, file));
}

test.each(PAGES)("%s names only existing files, commands and settings", async (page) => {
  const text = await readFile(page, "utf8");

  for (const [, target = ""] of text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)) {
    await expect(access(join(dirname(page), target)), target).resolves.toBeUndefined();
  }
  for (const [, verb = ""] of text.matchAll(/(?:`|npx )fleet ([a-z]+)/g)) expect(Object.keys(COMMANDS)).toContain(verb);
  const settings = [...text.matchAll(/\bFLEET_[A-Z_]+\b/g)].map(([name]) => name).filter((name) => !OTHERS.has(name));
  expect(Object.keys(Config.shape)).toEqual(expect.arrayContaining(settings));
});

/** The changelog describes the past, so it may name removed files. */
test.each(PAGES.filter((page) => page !== "CHANGELOG.md"))("%s names only source files that exist", async (page) => {
  // Rows of floors name rooms of their own folder; tests/architecture.test.ts compares them with FLOORS.
  const text = (await readFile(page, "utf8")).replaceAll(/^\|.* → .*$/gm, "");
  const named = [...text.matchAll(/`((?:[\w.-]+\/)+[\w-]+(?:\.[a-z]+)*\.(?:ts|mjs|sh|sql|md))`/g)];
  const paths = named.map(([, path = ""]) => path).filter((path) => !/\bx\.|NNNN/.test(path));

  // Pages may leave out `src/`.
  expect(paths.filter((path) => !existsSync(path) && !existsSync(join("src", path)))).toEqual([]);
});

test("ARCHITECTURE.md names only functions that exist", async () => {
  const text = await readFile("ARCHITECTURE.md", "utf8");
  const files = (await readdir("src", { recursive: true })).filter((file) => file.endsWith(".ts"));
  const source = (await Promise.all(files.map((file) => readFile(join("src", file), "utf8")))).join("\n");
  const names = [...text.matchAll(/`(?:\w+\.)*(\w+)\(\)`/g)].map(([, name = ""]) => name);

  expect(names.length).toBeGreaterThan(10);
  expect(names.filter((name) => !new RegExp(`(?:function |^  )${name}[(<]`, "m").test(source))).toEqual([]);
});

test.each(["README.md", "docs/operations.md"])("the fleet.yaml in %s is valid", async (page) => {
  const text = await readFile(page, "utf8");
  const [, sample = ""] = /```yaml\n([^]*?)```/.exec(text) ?? [];

  expect(parseSettings(parse(sample))).toMatchObject({ ok: true });
});

test("the README's npm scripts exist", async () => {
  const scripts = Object.keys(JSON.parse(await readFile("package.json", "utf8")).scripts);
  const text = await readFile("README.md", "utf8");

  for (const [, script = ""] of text.matchAll(/npm run ([\w:]+)/g)) expect(scripts).toContain(script);
});

test("decisions are numbered without gaps", async () => {
  const numbers = (await readdir("docs/decisions")).map((file) => Number(file.slice(0, 4))).toSorted((a, b) => a - b);

  expect(numbers).toEqual(numbers.map((_, at) => at + 1));
});

/** fleet.yaml as a file: every mistake with its line and field, paths relative to it, and read again when it changes. */
import { rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { FleetError } from "../../src/domain/errors.ts";
import { loadSettings, parseSettingsFile, watchSettings } from "../../src/processes/settings.ts";
import { eventually } from "../support/eventually.ts";
import { temporaryHome } from "../support/home.ts";

const withProduct = (more: string) => `products:\n  - { id: shop, repository: /srv/shop${more} }\n`;

const ofRepositories = (...repositories: string[]) =>
  `products: ${JSON.stringify(repositories.map((repository, at) => ({ id: `p${at}`, repository })))}`;

function refusalOf(text: string): string[] {
  try {
    parseSettingsFile(text, "/srv/fleet.yaml");
  } catch (error) {
    if (error instanceof FleetError) return error.message.split("\n").map((line) => line.trim());
    throw error;
  }
  return [];
}

test("every mistake is reported at once, with its line, its column and its field", () => {
  const text = `version: 1
prodcuts: []
products:
  - id: shop
    repository: /srv/shop
    commands:
      lint: npm run lint
      test: 3
    slaTier: 9
  - id: admin
    criticality:
      high
    killSwitch: { enabled: true }
tiers: { builder: -1 }
`;

  const [first, ...rest] = refusalOf(text);

  expect(first).toBe("/srv/fleet.yaml is not valid:");
  expect(rest.map((line) => line.split(": ")[0])).toEqual([
    "2:1 prodcuts",
    "7:7 products[0].commands.lint",
    "8:7 products[0].commands.test",
    "9:5 products[0].slaTier",
    "10:5 products[1].repository",
    "13:5 products[1].killSwitch.reason",
    "14:10 tiers.builder",
  ]);
});

test("invalid YAML is reported by line, too", () => {
  const lines = refusalOf("products:\n  - id: a\n    id: b\n  - [\n");

  expect(lines[0]).toBe("/srv/fleet.yaml is not valid:");
  expect(lines[1]).toMatch(/^3:5 Map keys must be unique/);
  expect(lines.length).toBeGreaterThan(2);
});

test("a mistake in an anchor is reported where it is written", () => {
  const text = `products:
  - id: a
    repository: /a
    commands: &usual
      validate: 7
  - id: b
    repository: /b
    commands: *usual
`;

  expect(
    refusalOf(text)
      .slice(1)
      .map((line) => line.split(": ")[0]),
  ).toEqual(["5:7 products[0].commands.validate", "5:7 products[1].commands.validate"]);
});

test("paths are relative to the file, URLs are not, and two spellings of one path are the same", () => {
  const urls = ["https://example.org/shop.git", "git@example.org:shop.git"];

  const { products } = parseSettingsFile(ofRepositories("../shop", "/srv/admin", ...urls), "/home/ada/fleet.yaml");

  expect(products.map(({ repository }) => repository)).toEqual(["/home/shop", "/srv/admin", ...urls]);
  expect(refusalOf(ofRepositories("shop", "./shop/"))[1]).toMatch(
    /products\[1\]\.repository: is the repository of p0, too$/,
  );
});

test("no file means the defaults, unless one was named", async () => {
  await using home = await temporaryHome();

  expect((await loadSettings(undefined, home.path)).products).toEqual([]);
  await expect(loadSettings(join(home.path, "mine.yaml"), home.path)).rejects.toMatchObject({ code: "invalid-input" });
});

test("a changed file applies within moments; an invalid or missing one leaves the previous settings and is reported once", async () => {
  await using home = await temporaryHome();
  const file = join(home.path, "fleet.yaml");
  await writeFile(file, withProduct(""));
  const warned: object[] = [];
  const log = { info: () => {}, warn: (facts: object) => void warned.push(facts) };
  const watched = await watchSettings({ configFile: undefined, folder: home.path, log, everyMs: 20 });
  const stop = () => watched.current().products[0]?.killSwitch;
  const before = watched.current();

  expect(stop()?.enabled).toBe(false);
  await writeFile(join(home.path, "next"), withProduct(", killSwitch: { enabled: true, reason: the flood }"));
  await rename(join(home.path, "next"), file);
  await eventually(async () => stop()?.enabled || undefined);
  expect(watched.current()).not.toBe(before);

  await writeFile(file, withProduct(", slaTier: 0"));
  await eventually(async () => warned.length > 0 || undefined);
  expect(stop()).toEqual({ enabled: true, reason: "the flood" });
  await rm(file);
  await eventually(async () => warned.length > 1 || undefined);
  expect(stop()?.enabled).toBe(true);

  await writeFile(file, withProduct(""));
  await eventually(async () => stop()?.enabled === false || undefined);
  await watched.close();
  expect(warned).toHaveLength(2);
  expect(JSON.stringify(warned[0])).toContain("2:40 products[0].slaTier");
});

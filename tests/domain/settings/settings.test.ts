/** fleet.yaml: defaults, the short and the long spelling, and every mistake reported at once with its path. */
import { describe, expect, test } from "vitest";
import {
  doneCriteriaFor,
  findProduct,
  parseSettings,
  reviewersFor,
  Settings,
} from "../../../src/domain/settings/settings.ts";

const DEFAULT_SETTINGS = Settings.parse({});

test("an empty file means the defaults", () => {
  expect(parseSettings(undefined)).toEqual({ ok: true, settings: DEFAULT_SETTINGS });
  expect(parseSettings(null)).toEqual({ ok: true, settings: DEFAULT_SETTINGS });
  expect(DEFAULT_SETTINGS).toMatchObject({
    products: [],
    autoMerge: false,
    tiers: { observer: 0, builder: 1, architect: 3, sovereign: 10 },
    retry: { baseDelayMs: 30_000, capMs: 120_000 },
    review: { requiredApprovals: 1, timeoutMinutes: 30, onTimeout: "ready", maxRounds: 5 },
    pr: { open: "either", merge: "squash" },
  });
});

test("a command line becomes a line for sh, and a list stays as it is", () => {
  const settings = good({
    products: [{ id: "shop", repository: "/srv/shop", commands: { setup: "npm ci", test: ["npm", "test"] } }],
  });

  expect(settings.products[0]?.commands).toEqual({ setup: ["sh", "-c", "npm ci"], test: ["npm", "test"] });
  expect(settings.products[0]?.ci).toEqual({ timeoutMinutes: 15, required: true });
});

test("reviewers and criteria apply to all task types unless one has its own", () => {
  const lint = { name: "lint", type: "command", command: ["lint"] };
  const plain = good({ reviewers: [lint] });
  const split = good({
    reviewers: { default: [lint], docs: [{ name: "prose", type: "stub" }] },
    done: { default: { reviews: 2 }, docs: { ciPassing: false } },
  });

  expect(reviewersFor(plain, "docs").map(({ name }) => name)).toEqual(["lint"]);
  expect(reviewersFor(split, "docs").map(({ name }) => name)).toEqual(["prose"]);
  expect(reviewersFor(split, "feature").map(({ name }) => name)).toEqual(["lint"]);
  expect(doneCriteriaFor(split, "feature").reviews).toBe(2);
  expect(doneCriteriaFor(split, "docs")).toMatchObject({ ciPassing: false, pullRequestOpen: true });
});

test("a route of one task type does not change the others", () => {
  const settings = good({ routing: { docs: [{ agentType: "stub" }] } });

  expect(settings.routing.docs).toEqual([{ agentType: "stub" }]);
  expect(settings.routing.refactor).toEqual(DEFAULT_SETTINGS.routing.refactor);
});

test("a product is found by its id, then by its repository", () => {
  const settings = good({
    products: [
      { id: "a", repository: "/b" },
      { id: "b", repository: "/a" },
    ],
  });

  expect(findProduct(settings, "a")?.repository).toBe("/b");
  expect(findProduct(settings, "/a")?.id).toBe("b");
  expect(findProduct(settings, "c")).toBeUndefined();
});

test("every mistake is reported at once, each with its path", () => {
  const parsed = parseSettings({
    version: 2,
    prodcuts: [],
    products: [
      { id: "shop", repository: "/a", commands: { test: 3, lint: "x" } },
      { id: "shop", repository: "/b" },
    ],
    reviewers: { default: [{ name: "x", type: "command", colour: "red" }], documents: [] },
    tiers: { builder: -1 },
    retry: { baseDelay: 5 },
  });

  expect(parsed.ok).toBe(false);
  expect(pathsOf(parsed)).toEqual(
    [
      "prodcuts",
      "products[0].commands.lint",
      "products[0].commands.test",
      "retry.baseDelay",
      "reviewers.default[0].colour",
      "reviewers.default[0].command",
      "reviewers.documents",
      "tiers.builder",
      "version",
    ].toSorted(),
  );
});

describe("a rule over several entries", () => {
  test.each([
    [
      "two products of one id",
      {
        products: [
          { id: "a", repository: "/a" },
          { id: "a", repository: "/b" },
        ],
      },
      "products[1].id",
    ],
    [
      "two products of one repository",
      {
        products: [
          { id: "a", repository: "/a" },
          { id: "b", repository: "/a" },
        ],
      },
      "products[1].repository",
    ],
    [
      "two reviewers of one name",
      {
        reviewers: [
          { name: "a", type: "stub" },
          { name: "a", type: "stub" },
        ],
      },
      "reviewers[1].name",
    ],
    ["a command reviewer without command", { reviewers: [{ name: "a", type: "command" }] }, "reviewers[0].command"],
    ["reviewers that are no list", { reviewers: 7 }, "reviewers"],
    ["a file that is no mapping", [1], ""],
  ])("refuses %s", (_, input, path) => {
    expect(pathsOf(parseSettings(input))).toEqual([path]);
  });
});

function good(input: unknown): Settings {
  const parsed = parseSettings(input);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  return parsed.settings;
}

function pathsOf(parsed: ReturnType<typeof parseSettings>): string[] {
  return parsed.ok ? [] : parsed.problems.map(({ path }) => path).toSorted();
}

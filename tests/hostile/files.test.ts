/**
 * Hostile files that Fleetwright reads: fleet.yaml, the folder of schedules, and dossiers at a commit of a real
 * repository.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { FleetError } from "../../src/domain/errors.ts";
import { parseSchedule } from "../../src/domain/orders/schedule.ts";
import { openScheduleFolder } from "../../src/processes/schedules.ts";
import { loadSettings } from "../../src/processes/settings.ts";
import { surveyDossiers } from "../../src/survey/dossiers.ts";
import { commitFiles, newCheckout } from "../support/repositories.ts";
import { About, aTrap, parseCases, Text } from "./cases.ts";
import file from "./files.json" with { type: "json" };

const Kind = z.enum(["fleet.yaml", "schedule", "dossier"]);
const cases = parseCases(z.strictObject({ ...About, kind: Kind, text: Text, refused: z.boolean() }), file);
const of = (kind: z.output<typeof Kind>) => cases.filter((hostile) => hostile.kind === kind);
/** Messages about a file appear in responses, logs and events. */
const MAX_MESSAGE_CHARS = 10_000;

const trap = aTrap();
const fill = (text: string) => trap.fill(text).toWellFormed();
afterAll(() => {
  trap[Symbol.dispose]();
});

describe("as fleet.yaml", () => {
  test.each(of("fleet.yaml"))("$name", async ({ text, refused }) => {
    const path = join(trap.folder, "fleet.yaml");
    writeFileSync(path, fill(text));

    const said = await loadSettings(path, trap.folder).then(
      () => undefined,
      (error: unknown) => error,
    );

    expect(said instanceof FleetError ? said.code : said).toBe(refused ? "invalid-input" : undefined);
    expect(String(said).length).toBeLessThan(MAX_MESSAGE_CHARS);
  });
});

describe("as a schedule", () => {
  test.each(of("schedule"))("$name", async ({ text, refused }) => {
    const folder = join(trap.folder, "schedules");
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "shop.json"), fill(text));

    const [source] = (await openScheduleFolder(folder)()) ?? [];
    const read = parseSchedule(source?.text ?? "", source?.name ?? "");

    expect(!read.ok).toBe(refused);
    expect(read.ok ? "" : JSON.stringify(read.problems)).toSatisfy((said: string) => said.length < MAX_MESSAGE_CHARS);
  });
});

test("as dossiers, all in one repository: each has its own reasons, and the valid one is read", async () => {
  const repository = join(trap.folder, "science");
  const dossiers = of("dossier");
  newCheckout(repository);
  const named = dossiers.map(({ text }, at) => [`docs/science/${String(at).padStart(3, "0")}.md`, fill(text)]);
  const commitSha = commitFiles(repository, Object.fromEntries(named));

  const found = await surveyDossiers({ gitDir: join(repository, ".git"), commitSha });

  expect(found.dossiers.map(({ head }, at) => ({ name: dossiers[at]?.name, refused: head === null }))).toEqual(
    dossiers.map(({ name, refused }) => ({ name, refused })),
  );
  expect(found.dossiers.filter(({ head, problems }) => head === null && problems.length === 0)).toEqual([]);
  expect(JSON.stringify(found.dossiers.map(({ problems }) => problems)).length).toBeLessThan(
    MAX_MESSAGE_CHARS * dossiers.length,
  );
});

test("nothing in them was run, and nothing was polluted", () => {
  trap.expectUnsprung();
  expect(Reflect.get({}, "polluted")).toBeUndefined();
});

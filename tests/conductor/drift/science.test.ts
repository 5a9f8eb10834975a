/** Research dossiers from real commits: indexed, shown with problems, handed off to a design that is evidence and no commit. */
import { expect, test } from "vitest";
import { designFromScience } from "../../../src/conductor/orders/intents/science-to-design.ts";
import { readScienceIndex, refreshScience } from "../../../src/conductor/drift/science.ts";
import { ScienceIndex } from "../../../src/domain/science/science-index.ts";
import { LOCAL_OPERATOR } from "../../../src/domain/operator.ts";
import { listWaitingDossiers } from "../../../src/store/dossiers.ts";
import { anIntentRequest } from "../../support/intents.ts";
import { testFleet, type TestFleet } from "../../support/fleet.ts";
import { commitFiles, runGit } from "../../support/repositories.ts";

const signal = new AbortController().signal;

function aDossier(id: string, status: string, more = ""): string {
  return `---
dossier_id: ${id}
topic: "Cache #prices for a minute"
status: ${status}
created_at: 2026-01-31
owner: ada
hypothesis: Fewer reads, and nobody sees an old price.
evidence: [https://example.com/run/1]
method: our own key
${more}---

# Findings
`;
}

async function aProductWith(fleet: TestFleet, files: Readonly<Record<string, string>>) {
  const repository = await fleet.aRepository();
  commitFiles(repository, files);
  const product = fleet.fleet.settings.products.find((known) => known.repository === repository);
  if (!product) throw new Error("There is no such product.");
  return { repository, product };
}

const refresh = ({ fleet }: TestFleet) => refreshScience(fleet, { kind: "science" }, signal);
const index = ({ fleet }: TestFleet) => readScienceIndex(fleet, LOCAL_OPERATOR);

test("dossiers are indexed by status, and a file that cannot be read is listed with the line and the reason", async () => {
  await using fleet = await testFleet();
  const { repository, product } = await aProductWith(fleet, {
    "docs/science/prices.md": aDossier("D-1", "validated"),
    "docs/science/deep/search.md": aDossier("D-2", "running"),
    "docs/science/twin.md": aDossier("D-1", "proposed"),
    "docs/science/bad.md": "---\ndossier_id: D-3\ntopic: [unclosed\nstatus: nearly\n---\n",
    "docs/science/half.md": "---\ndossier_id: D-4\ntopic: T\nstatus: nearly\ncreated_at: soon\nowner: 7\n---\n",
    "docs/science/none.md": "# Just text\n",
    "docs/science/README.md": "# What this is\n",
    "docs/other.md": "# Elsewhere\n",
  });

  await refresh(fleet);
  const found = ScienceIndex.parse(await index(fleet));

  expect(found.dossiers.map(({ dossier_id: id, status, topic }) => [id, status, topic])).toEqual([
    ["D-2", "running", "Cache #prices for a minute"],
    ["D-1", "validated", "Cache #prices for a minute"],
  ]);
  expect(found.counts).toMatchObject({ running: 1, validated: 1, errors: 4 });
  const cards = new Map(found.errors.map(({ path, problems }) => [path.slice("docs/science/".length), problems]));
  expect(cards.get("none.md")).toEqual([{ line: 1, message: "has no front matter: the first line must be ---" }]);
  expect(cards.get("bad.md")?.[0]?.line).toBeGreaterThanOrEqual(3);
  expect(cards.get("half.md")).toEqual([
    { line: 4, message: "status must be one of proposed, running, validated, rejected, handed_off" },
    { line: 5, message: "created_at must be a date such as 2026-01-31" },
    { line: 6, message: "owner must be text: put it in quotes" },
    { line: 2, message: "hypothesis is missing" },
  ]);
  expect(cards.get("twin.md")).toEqual([
    { line: null, message: "dossier_id D-1 is already used by docs/science/prices.md" },
  ]);
  expect(JSON.stringify(found)).not.toContain("our own key");

  runGit(repository, "rm", "--quiet", "-r", "docs/science");
  runGit(repository, "commit", "--quiet", "--message", "drop");
  await refresh(fleet);
  expect((await index(fleet)).dossiers).toEqual([]);
  expect(product.id).not.toBe("");
});

test("a validated dossier becomes a design in the evidence and is shown as handed off; no commit is made", async () => {
  await using fleet = await testFleet();
  const { repository, product } = await aProductWith(fleet, { "docs/science/prices.md": aDossier("D-1", "validated") });
  await refresh(fleet);
  const waiting = () => fleet.fleet.store.asSystem((tx) => listWaitingDossiers(tx, "local"));
  expect((await waiting()).map(({ dossierId }) => dossierId)).toEqual(["D-1"]);
  const before = runGit(repository, "for-each-ref");

  const ask = await anIntentRequest(fleet, product, "science_to_design", "D-1");
  const outcome = await designFromScience(ask);
  await fleet.query("update work_orders set status = 'completed'");
  const again = await designFromScience(await anIntentRequest(fleet, product, "science_to_design", "D-1"));

  expect(outcome).toMatchObject({ ok: true, headSha: runGit(repository, "rev-parse", "HEAD") });
  expect(again.message).toContain("had been handed off before");
  const design = await ask.read("design.md");
  for (const part of [
    "## Problem",
    "> Fewer reads",
    "https://example.com/run/1",
    "## Decision needed",
    "## Risks",
    "## Tasks",
  ]) {
    expect(design).toContain(part);
  }
  expect(runGit(repository, "for-each-ref")).toBe(before);
  expect(await waiting()).toEqual([]);
  const handed = { status: "handed_off", file_status: "validated", work_order: ask.order.id };
  const byRun = { ...handed, design: { run_id: ask.run.id, artifact: "design.md" } };
  expect((await index(fleet)).dossiers).toMatchObject([byRun]);
  const stored = ScienceIndex.parse(JSON.parse(await ask.read("science_index.json")));
  expect(stored.dossiers).toMatchObject([byRun]);

  // The file is moved, and invalid for a while: the handoff stays with its id.
  runGit(repository, "mv", "docs/science/prices.md", "docs/science/cache.md");
  commitFiles(repository, {}, "move");
  await refresh(fleet);
  expect((await index(fleet)).dossiers).toMatchObject([{ ...byRun, path: "docs/science/cache.md" }]);
  commitFiles(repository, { "docs/science/cache.md": "oops" });
  await refresh(fleet);
  commitFiles(repository, { "docs/science/cache.md": aDossier("D-1", "validated") });
  await refresh(fleet);
  expect((await index(fleet)).dossiers).toMatchObject([byRun]);
});

test("a dossier that is not validated or does not exist is refused by name", async () => {
  await using fleet = await testFleet();
  const { product } = await aProductWith(fleet, { "docs/science/a.md": aDossier("D-1", "running") });
  await refresh(fleet);

  const running = await designFromScience(await anIntentRequest(fleet, product, "science_to_design", "D-1"));
  const missing = await designFromScience(await anIntentRequest(fleet, product, "science_to_design", "D-9"));

  expect(running).toMatchObject({ ok: false, message: "Dossier D-1 is running, not validated." });
  expect(missing.message).toContain("There is no dossier D-9");
});

test("a status is as old as the file's last change, and a dossier that waits too long is stuck", async () => {
  await using fleet = await testFleet({ parts: { clock: () => new Date(Date.now() + 8 * 86_400_000) } });
  await aProductWith(fleet, {
    "docs/science/a.md": aDossier("D-1", "validated"),
    "docs/science/b.md": aDossier("D-2", "running"),
  });

  await refresh(fleet);

  expect((await index(fleet)).dossiers.map(({ dossier_id: id, stuck }) => [id, stuck])).toEqual([
    ["D-2", null],
    ["D-1", "validated for 8 days without a design"],
  ]);
});

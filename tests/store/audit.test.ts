/** The audit chains: they verify, name what was tampered with, have no gaps under load, and cannot be rewritten. */
import { createHash } from "node:crypto";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { verifyLinks, auditHashInput, type BrokenLink } from "../../src/domain/audit/audit.ts";
import { listAuditEntries, listChainHeads } from "../../src/store/audit.ts";
import { auditOperator } from "../../src/store/operators.ts";
import { anEvent } from "../support/builders.ts";
import { testStore, type TestStore } from "../support/store.ts";
import { SYSTEM } from "../../src/store/principal.ts";

const how = { actor: "test", action: "test.move" };
const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

test("the database and the verifier serialize any entry to the same text", async () => {
  await using world = await testStore();
  const operator = await world.operator();
  const text = fc.string({ unit: "grapheme" }).filter((one) => !one.includes("\u0000"));
  const details = fc.dictionary(
    text,
    fc.oneof(text, fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.boolean()),
  );

  await fc.assert(
    fc.asyncProperty(text, text, details, async (actor, action, detail) => {
      await world.store.asSystem((tx) =>
        auditOperator(tx, { operatorId: operator.id, actor, action, detail: { ...detail } }),
      );
    }),
    { numRuns: 60 },
  );

  const [entry] = await entriesOf(world, `operator:${operator.id}`);
  if (!entry) throw new Error("No entry.");
  expect(sha256(auditHashInput("", entry))).toBe(entry.hash);
  expect(await verify(world)).toEqual({ chains: 1, broken: [] });
});

test("chains of tasks that many processes change at once have no gap and no duplicate, and verify", async () => {
  await using world = await testStore();
  const other = world.another();
  const operator = await world.operator();
  const tasks = await world.tasks(operator, 20, "running");

  await Promise.all(
    tasks.map(async ({ id }) => {
      for (let n = 0; n < 6; n += 1) {
        const task = await world.read(id);
        await Promise.allSettled([
          world.store.transitions.transition(SYSTEM, { task, ...how, events: [anEvent()] }),
          other.transitions.transition(SYSTEM, { task, ...how, detail: { by: "other" } }),
        ]);
      }
    }),
  );

  expect(await verify(world)).toEqual({ chains: 20, broken: [] });
  expect(
    await world.query(
      `select chain from audit_log group by chain having count(*) <> max(seq) or count(distinct seq) <> count(*)`,
    ),
  ).toEqual([]);
  expect(await world.query("select count(*)::int as n from audit_log where action = 'test.move'")).toEqual([
    { n: 120 },
  ]);
});

test("a changed byte, a missing entry, a truncated end and a forged entry are each named", async () => {
  await using world = await testStore();
  const operator = await world.operator();
  const tasks = await world.tasks(operator, 5, "running");
  for (const task of tasks) {
    let now = task;
    for (let n = 0; n < 4; n += 1)
      now = await world.store.transitions.transition(SYSTEM, { task: now, ...how, detail: { n } });
  }
  const [changed, missing, cut, forged, whole] = tasks.map(({ id }) => `task:${id}`);

  await world.query("alter table audit_log disable trigger all");
  await world.query(`update audit_log set detail = jsonb_set(detail, '{n}', '9') where chain = $1 and seq = 3`, [
    changed,
  ]);
  await world.query("delete from audit_log where chain = $1 and seq = 2", [missing]);
  await world.query("delete from audit_log where chain = $1 and seq = 5", [cut]);
  await world.query("update audit_log set hash = repeat('0', 64) where chain = $1 and seq = 4", [forged]);
  await world.query("alter table audit_log enable trigger all");

  const { broken } = await verify(world);
  expect(Object.fromEntries(broken.map(({ chain, seq }) => [chain, seq]))).toEqual({
    [changed ?? ""]: 3,
    [missing ?? ""]: 2,
    [cut ?? ""]: 5,
    [forged ?? ""]: 4,
  });
  expect(broken.map(({ chain }) => chain)).not.toContain(whole);
});

test("the log cannot be rewritten, deleted or truncated, not even by the owner of the database", async () => {
  await using world = await testStore();
  await world.task(await world.operator());

  for (const statement of ["update audit_log set actor = 'x'", "delete from audit_log", "truncate audit_log"]) {
    await expect(world.query(statement)).rejects.toThrow("append-only");
  }
  await expect(world.query("truncate audit_log_rest")).rejects.toThrow("append-only");
  await expect(world.query("delete from audit_log_rest")).rejects.toThrow("append-only");
});

test("heads are listed page by page, operators first, each once", async () => {
  await using world = await testStore();
  const operators = await Promise.all(Array.from({ length: 3 }, () => world.operator()));
  for (const operator of operators) {
    await world.store.asSystem((tx) =>
      auditOperator(tx, { operatorId: operator.id, actor: "test", action: "test", detail: {} }),
    );
    await world.tasks(operator, 4);
  }

  const pages = await heads(world, 4);
  expect(pages).toEqual(await heads(world, 100));
  expect(pages).toHaveLength(15);
  const [, , , one] = pages;
  const only = await world.store.asSystem((tx) => listChainHeads(tx, "", 10, one?.chain));
  expect(only).toEqual([one]);
});

async function heads({ store }: TestStore, limit: number) {
  const all: { chain: string; seq: number; head: string }[] = [];
  for (;;) {
    const page = await store.asSystem((tx) => listChainHeads(tx, all.at(-1)?.chain ?? "", limit));
    all.push(...page);
    if (page.length < limit) return all;
  }
}

function entriesOf({ store }: TestStore, chain: string) {
  return store.asSystem((tx) => listAuditEntries(tx, chain, { after: 0, limit: 10_000 }));
}

/**
 * Verifies as `fleet audit verify` does: each chain is recomputed and compared with the head that its task or
 * operator stores.
 */
async function verify(world: TestStore): Promise<{ chains: number; broken: ({ chain: string } & BrokenLink)[] }> {
  const broken: ({ chain: string } & BrokenLink)[] = [];
  const all = await heads(world, 100);
  for (const { chain, seq, head } of all) {
    const end = verifyLinks(await entriesOf(world, chain), { seq: 0, hash: "" }, sha256);
    if (end.broken) broken.push({ chain, ...end.broken });
    else if (end.seq !== seq || end.hash !== head)
      broken.push({ chain, seq: end.seq + 1, why: "the head says otherwise" });
  }
  return { chains: all.length, broken };
}

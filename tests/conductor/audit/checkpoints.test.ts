/** Signed checkpoints of the audit chains: entries and whole chains that were removed are detected and named. */
import { expect, test } from "vitest";
import { verifyAudit } from "../../../src/conductor/audit/verify.ts";
import { createCheckpoint, requestCheckpoint } from "../../../src/conductor/audit/checkpoints.ts";
import { testFleet, type TestFleet } from "../../support/fleet.ts";
import { SYSTEM, asOperator } from "../../../src/store/principal.ts";

const byHand = (fleet: TestFleet, statement: string) =>
  fleet.query(`begin; set local session_replication_role = replica; ${statement}; commit`);

/** Three tasks with a chain of some length, and a checkpoint over them. */
async function aSignedHouse(fleet: TestFleet) {
  const by = await fleet.operator({ tier: "architect", role: "admin" });
  const repository = await fleet.aRepository();
  const tasks = [];
  for (let n = 0; n < 3; n += 1) {
    let task = await fleet.spawn(by, { repository });
    for (const action of ["test.one", "test.two", "test.three"])
      task = await fleet.fleet.store.transitions.transition(SYSTEM, {
        task,
        actor: "test",
        action,
        detail: { action },
      });
    tasks.push(task.id);
  }
  await requestCheckpoint(fleet.fleet, by);
  const [first = "", second = "", third = ""] = tasks;
  return { by, first, second, third };
}

test("what was changed or removed after a checkpoint is named: a byte, an end, a replaced entry, a whole chain", async () => {
  await using fleet = await testFleet();
  const { by, first, second, third } = await aSignedHouse(fleet);
  expect(await verifyAudit(fleet.fleet, SYSTEM)).toMatchObject({
    ok: true,
    chains: 4,
    checkpoint: { chains: 4, broken: [] },
  });

  await byHand(
    fleet,
    `update audit_log set detail = jsonb_set(detail, '{action}', '"test.onf"') where task_id = '${first}' and seq = 2;
     delete from audit_log where task_id = '${second}' and seq > 2;
     update fleet_tasks set audit_seq = 2, audit_head = (select hash from audit_log where task_id = '${second}' and seq = 2)
       where id = '${second}';
     delete from audit_log where task_id = '${third}';
     delete from fleet_tasks where id = '${third}'`,
  );

  const found = await verifyAudit(fleet.fleet, SYSTEM);
  expect(found.ok).toBe(false);
  expect(found.checkpoint?.broken).toEqual([]);
  expect(Object.fromEntries(found.broken.map(({ taskId, seq, why }) => [taskId, `${seq} ${why}`]))).toEqual({
    [first]: "2 its content does not match its hash",
    [second]: expect.stringMatching(
      /^3 the chain was truncated after entry 2: the checkpoint of .* recorded \d entries$/,
    ),
    [third]: expect.stringMatching(/^1 the whole chain is missing: the checkpoint of .* recorded \d entries$/),
  });
  // The next checkpoint does not repair it, and the tenant itself sees it too.
  await createCheckpoint(fleet.fleet);
  const named = (verdict: typeof found) => verdict.broken.map(({ taskId }) => taskId).toSorted();
  expect(named(await verifyAudit(fleet.fleet, SYSTEM))).toEqual([first, second, third].toSorted());
  expect(named(await verifyAudit(fleet.fleet, asOperator(by)))).toEqual([first, second, third].toSorted());
  expect((await verifyAudit(fleet.fleet, asOperator(await fleet.operator()))).broken).toEqual([]);
});

test("a chain that was rewritten together with its head does not match what the checkpoint signed", async () => {
  await using fleet = await testFleet();
  const { first } = await aSignedHouse(fleet);
  const rewrite = `
    update audit_log a set actor = 'nobody', hash = fleet_audit_hash(
      (select hash from audit_log b where b.chain = a.chain and b.seq = a.seq - 1), a.seq, a.at, 'nobody', a.action, a.detail)
      where task_id = '${first}' and seq = (select audit_seq from fleet_tasks where id = '${first}');
    update fleet_tasks t set audit_head = (select hash from audit_log a where a.task_id = t.id and a.seq = t.audit_seq)
      where id = '${first}'`;

  await byHand(fleet, rewrite);
  await createCheckpoint(fleet.fleet);

  const { broken } = await verifyAudit(fleet.fleet, SYSTEM);
  expect(broken).toEqual([{ taskId: first, seq: expect.any(Number), why: expect.stringContaining("it was replaced") }]);
});

test("a checkpoint that was changed, removed or signed with an unknown key is named, and so are changed heads", async () => {
  await using fleet = await testFleet();
  const { second } = await aSignedHouse(fleet);
  await createCheckpoint(fleet.fleet);
  await createCheckpoint(fleet.fleet);
  const after = async (statement: string) => {
    await byHand(fleet, statement);
    const { ok, checkpoint } = await verifyAudit(fleet.fleet, SYSTEM);
    return [ok, ...(checkpoint?.broken ?? []).map(({ id, why }) => `${id} ${why}`)];
  };
  const ids = (await fleet.query("select id::int from audit_checkpoints order by id")).map(({ id }) => Number(id));
  const [one = 0, two = 0, three = 0] = ids;

  await expect(fleet.query("update audit_checkpoints set heads = 1")).rejects.toThrow("append-only");
  await expect(fleet.query("truncate audit_checkpoints")).rejects.toThrow("append-only");
  expect(await after(`update audit_heads set seq = seq - 1 where chain = 'task:${second}'`)).toEqual([
    false,
    `${three} the heads were changed: it signed 4, now there are 4`,
  ]);
  expect(await after(`update audit_heads set seq = seq + 1 where chain = 'task:${second}'`)).toEqual([true]);
  expect(await after(`update audit_checkpoints set heads = 40 where id = ${one}`)).toEqual([
    false,
    `${one} its signature does not match its content`,
  ]);
  expect(await after(`delete from audit_checkpoints where id = ${two}`)).toContain(
    `${three} the checkpoint before it is missing`,
  );
  expect(await after("update audit_checkpoints set key_id = 'stranger'")).toContain(
    `${three} its key stranger is unknown`,
  );
});

test("a retired key still verifies; the chain of a task that retention removed is still verified", async () => {
  await using fleet = await testFleet();
  const { first, second } = await aSignedHouse(fleet);
  await fleet.query("update signing_keys set retire_at = now() - interval '1 day'");
  await byHand(fleet, `delete from fleet_tasks where id in ('${first}', '${second}')`);

  expect(await verifyAudit(fleet.fleet, SYSTEM)).toMatchObject({ ok: true, chains: 4 });
  await createCheckpoint(fleet.fleet);
  await byHand(fleet, `update audit_log set actor = 'x' where task_id = '${second}' and seq = 2`);
  expect(await verifyAudit(fleet.fleet, SYSTEM)).toMatchObject({
    ok: false,
    broken: [{ taskId: second, seq: 2 }],
    checkpoint: { broken: [] },
  });
});

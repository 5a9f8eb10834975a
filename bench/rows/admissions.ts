/** Row 13: how many requests per second pass admission, with exact counting, compared with a bare counter. */
import { Pool } from "pg";
import { spawnQueue } from "../../queues/spawn.ts";
import type { Operator } from "../../src/domain/operator.ts";
import { upsertOperator } from "../../src/store/operators.ts";
import { createHint } from "../../src/store/outbox.ts";
import { admitTask } from "../../src/store/tasks.ts";
import { aNewTask, anEvent } from "../../tests/support/builders.ts";
import { toScoreLine } from "../line.ts";
import { pickFigure, interleave } from "../rounds.ts";
import type { BenchRow } from "../row.ts";
import { runConcurrently, openBenchStore } from "../seed.ts";

const OPERATORS = 20;
const CONNECTIONS = 50;
const LIMIT = 1_000_000;

export const admissionsRow: BenchRow = {
  rows: ["13"],
  what: "admissions",
  async measure(world) {
    const database = await world.database();
    const store = openBenchStore(world, database, CONNECTIONS);
    const pool = new Pool({ connectionString: database.url, max: CONNECTIONS }).on("error", () => undefined);
    world.defer(() => pool.end());
    const operators = Array.from({ length: OPERATORS }, (_, at): Operator => ({
      id: `operator-${at}`,
      tenantId: "acme",
      tier: "sovereign",
    }));
    for (const operator of operators) await store.asSystem((tx) => upsertOperator(tx, operator));
    await database.query("create table bench_counters as select id, 0 as active from operators");
    await database.query("alter table bench_counters add primary key (id)");

    const count = world.size(1_500, 200);
    const callers = Array.from({ length: count }, (_, at) => operators[at % OPERATORS] ?? operators[0]);
    const wrong = new Set<string>();
    const measureRate = async (work: (by: Operator) => Promise<unknown>) => {
      const ms = await runConcurrently(CONNECTIONS, callers, async (by) => by && work(by));
      return { rate: (count / ms) * 1_000 };
    };
    const admit = (by: Operator) => {
      const task = aNewTask(by);
      const hints = [createHint(spawnQueue, { taskId: task.id, epoch: 1 })];
      return store.as(by, (tx) => admitTask(tx, task, { limit: LIMIT, hints, event: anEvent() }));
    };
    const ours = async () => {
      const rate = await measureRate(admit);
      const [drift] = await database.query(
        `select count(*)::int as count from slots s
         where active <> (select count(*) from fleet_tasks t where t.operator_id = s.operator_id)`,
      );
      if (drift?.["count"] !== 0)
        wrong.add(`${String(drift?.["count"])} slot counters are not the count of their tasks`);
      return rate;
    };
    const counter = "update bench_counters set active = active + 1 where id = $1";
    await ours();
    const samples = await interleave(world.rounds, ours, () => measureRate((by) => pool.query(counter, [by.id])));
    const options = {
      row: "13",
      what: `admissions, ${OPERATORS} operators, ${CONNECTIONS} connections`,
      reference: "a bare counter update",
      unit: "/s",
      target: { atLeast: 0.7 },
      wrong: [...wrong],
      reason:
        "three round trips (begin as the operator, admit, commit) and four rows with their indexes against one of each",
    };
    return [toScoreLine(options, pickFigure(samples.ours, "rate"), pickFigure(samples.theirs, "rate"))];
  },
};

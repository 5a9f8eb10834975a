/** Row 9: the monitor's sweep over many live tasks of which none needs anything. */
import { join } from "node:path";
import { sweepShard } from "../../src/conductor/monitor/sweep.ts";
import { listLiveTasks } from "../../src/store/tasks.ts";
import { newCheckout } from "../../tests/support/repositories.ts";
import { toScoreLine, type ScoreLine } from "../line.ts";
import { pickFigure, interleave } from "../rounds.ts";
import type { BenchRow } from "../row.ts";
import { seedTasks } from "../seed.ts";
import { openStack } from "../stack.ts";

const ALL = { shard: 0, of: 1 };

export const sweepRow: BenchRow = {
  rows: ["9"],
  what: "monitor sweep with nothing to do",
  async measure(world) {
    const lines: ScoreLine[] = [];
    const repository = newCheckout(join(await world.folder("repository"), "shop"));
    for (const count of world.quick ? [1_000] : [1_000, 10_000]) {
      const database = await world.database();
      const { fleet, store } = (await openStack(world, database)).open;
      await seedTasks(database, store, { count, status: "running", repository, withFacts: true });
      await database.query(
        "insert into hosts (id, boot_id, reporter, lease_until, slots) values ('bench', 'b', 'r', now() + interval '1 day', 4)",
      );
      await database.query("analyze");
      const wrong = new Set<string>();
      const sweep = async () => {
        // The agents' heartbeats are refreshed, because no worker runs during the measurement.
        await database.query("update heartbeats set heartbeat_at = now(), progress_at = now(), observed_at = now()");
        const from = performance.now();
        const swept = await sweepShard(fleet, ALL);
        const ms = performance.now() - from;
        if (swept?.checked !== count || swept.acted + swept.errors > 0) wrong.add(`it ${JSON.stringify(swept)}`);
        return { ms };
      };
      const select = async () => {
        const from = performance.now();
        await store.asSystem((tx) => listLiveTasks(tx, ALL));
        return { ms: performance.now() - from };
      };
      await sweep();
      const samples = await interleave(world.rounds, sweep, select);
      const options = {
        row: "9",
        what: `sweep of ${count.toLocaleString("en-US")} live tasks`,
        reference: "one select of those rows, parsed",
        unit: "ms",
        target: { atMost: 2 },
        wrong: [...wrong],
        reason: "the facts of each agent are rows to read and parse as well",
      };
      lines.push(toScoreLine(options, pickFigure(samples.ours, "ms"), pickFigure(samples.theirs, "ms")));
    }
    return lines;
  },
};

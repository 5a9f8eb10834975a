/** F22: adds every relayed job to its queue again, three times, under other ids, shuffled and delayed. */
import { hostQueue } from "../../queues/host.ts";
import { QUEUES } from "../../queues/index.ts";
import { startLoop, type Loop } from "../../src/processes/loop.ts";
import { shuffle } from "./options.ts";
import { HOST_ID, type ChaosEnvironment } from "./environment.ts";

const COPIES = 3;
const MAX_DELAY_MS = 4_000;

export interface Duplicates {
  readonly count: number;
  stop(): Promise<void>;
}

export async function startDuplicates(stage: ChaosEnvironment, random: () => number): Promise<Duplicates> {
  const definitions = [...QUEUES, hostQueue(HOST_ID)];
  const queues = new Map(stage.open.broker.bullQueues(definitions).map((queue) => [queue.name, queue]));
  let last = String((await stage.query("select coalesce(max(id), 0)::text as id from outbox"))[0]?.["id"]);
  let count = 0;

  async function step(): Promise<void> {
    const rows = await stage.query(
      `select id::text, topic, payload from outbox
       where id > $1::bigint and topic <> 'event' and processed_at is not null order by outbox.id limit 500`,
      [last],
    );
    const copies = rows.flatMap((row) => Array.from({ length: COPIES }, (_, copy) => ({ row, copy })));
    for (const { row, copy } of shuffle(copies, random)) {
      const options = {
        jobId: `again_${String(row["id"])}_${copy}`,
        delay: Math.round(random() * MAX_DELAY_MS),
        removeOnComplete: true,
      };
      await queues.get(String(row["topic"]))?.add(String(row["topic"]), row["payload"], options);
      count += 1;
    }
    const [newest] = rows.slice(-1);
    if (newest) last = String(newest["id"]);
  }

  // While a store is down there is nothing to copy; the number of copies is reported at the end.
  const loop: Loop = startLoop({ everyMs: 100, step, onError: () => undefined });
  return {
    get count() {
      return count;
    },
    stop: () => loop.stop(),
  };
}

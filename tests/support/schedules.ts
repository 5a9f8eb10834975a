/** A fleet with its own clock and a folder of schedules, for tests of periodic jobs. */
import { mkdir, realpath, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Product } from "../../src/domain/product.ts";
import { syncSchedules } from "../../src/conductor/schedules/files.ts";
import { testFleet, type TestFleet, type TestFleetOptions, type TestProcess } from "./fleet.ts";

export interface ScheduledFleet extends TestFleet {
  /** Sets the fleet's clock, which otherwise stands still. */
  setTime(text: string): void;
  /** Writes (or with undefined removes) a file of the folder, and lets a worker read the folder. */
  writeSchedule(addProduct: string, content: object | string | undefined, process?: TestProcess): Promise<void>;
  /** A product that does not exist on disk, which is enough for orders that never run. */
  product(product?: object): string;
  /** The orders of all schedules so far, oldest first. */
  orders(): Promise<Record<string, unknown>[]>;
  /** Ends open orders, as if they had run. */
  finishOrders(): Promise<void>;
}

export async function scheduledFleet(options: TestFleetOptions = {}): Promise<ScheduledFleet> {
  let now = new Date("2026-03-28T23:10:00Z");
  const fleet = await testFleet({ ...options, parts: { ...options.parts, clock: () => now } });
  const folder = join(await realpath(dirname(fleet.home)), "schedules");
  await mkdir(folder);
  return {
    ...fleet,
    setTime: (text) => void (now = new Date(text)),
    async writeSchedule(product, content, process = fleet) {
      const file = join(folder, `${product}.json`);
      if (content === undefined) await rm(file);
      else await writeFile(file, typeof content === "string" ? content : JSON.stringify(content));
      await syncSchedules(process.fleet);
    },
    product(product = {}) {
      const id = `shop-${fleet.fleet.settings.products.length}`;
      fleet.fleet.settings.products.push(Product.parse({ id, repository: `/nowhere/${id}`, ...product }));
      return id;
    },
    orders: () =>
      fleet.query(
        `select product_id, intent, source, operator_id, slot_at, status, batch_id, requested_at is not null as requested
         from work_orders where schedule_id is not null order by created_at, id`,
      ),
    async finishOrders() {
      await fleet.query(
        "update work_orders set status = 'completed', completed_at = now() where status <> 'completed'",
      );
    },
  };
}

/** A schedule's file, valid by default. */
export function aScheduleFile(product: string, more: object = {}): object {
  return { schema_version: 1, product_id: product, cadence: "hourly", jobs: [{ intent: "validate" }], ...more };
}

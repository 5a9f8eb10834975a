/** The database's time: leases and due times use its clock, because machines' clocks differ. */
import { Client } from "pg";

export async function readDatabaseTime(url: string): Promise<Date> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  client.on("error", () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query<{ now: Date }>("select clock_timestamp() as now");
    return rows[0]?.now ?? new Date(Number.NaN);
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** Every paged listing: no row is skipped or repeated, also among rows that were created in the same millisecond. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { webRoutes } from "../../../src/http/routes/index.ts";
import { NO_KEYS } from "../../support/api.ts";
import { aWebWorld, type WebWorld } from "../web-world.ts";

const Page = z.looseObject({ items: z.array(z.looseObject({})), nextCursor: z.string().nullable() });
const COPIES = 9;

/** Tables whose listings are ordered by a time, and the column of that time. */
const BY_TIME = {
  fleet_tasks: "created_at",
  work_orders: "created_at",
  plans: "created_at",
  runs: "started_at",
} as const;

/** A path may be called in several ways. */
const MORE: Readonly<Record<string, readonly string[]>> = { "/api/fleet/tasks": ["text=change"] };

const paged = webRoutes(() => Promise.resolve(""), NO_KEYS)
  .filter(({ method, kind, query }) => method === "get" && kind === "json" && query && takes(query, "cursor"))
  .flatMap(({ path }) => ["", ...(MORE[path] ?? [])].map((query) => [path, query] as const));

function takes(query: z.ZodType, name: string): boolean {
  return query instanceof z.ZodObject && Object.hasOwn(query.shape, name);
}

let world: WebWorld;
let tokens: { readonly own: string; readonly admin: string };

beforeAll(async () => {
  world = await aWebWorld();
  for (const [table, column] of Object.entries(BY_TIME)) await copyRows(table, column);
  for (let n = 0; n < 3; n += 1) await world.fleet.operator({ tenantId: world.ada.tenantId });
  const { web, ada, root } = world;
  tokens = { own: await web.issueFor(ada, 60_000), admin: await web.issueFor(root, 60_000) };
}, 60_000);
afterAll(async () => {
  await world.close();
});

/** Many copies of a row within one millisecond, some in the very same microsecond. */
async function copyRows(table: string, column: string): Promise<void> {
  const columns = await world.fleet.query(
    `select quote_ident(attname) as name from pg_attribute
     where attrelid = $1::regclass and attnum > 0 and not attisdropped and attgenerated = ''`,
    [table],
  );
  const names = columns.map((row) => String(row["name"])).join(", ");
  const values = names
    .split(", ")
    .map((name) => {
      if (name === "id") return "gen_random_uuid()";
      // No two open orders may have the same subject.
      if (name === "subject") return "n::text";
      return name === column
        ? "date_trunc('milliseconds', now()) + (n / 2) * interval '100 microseconds'"
        : `t.${name}`;
    })
    .join(", ");
  await world.fleet.query(
    `begin; set local session_replication_role = replica;
     insert into ${table} (${names}) select ${values} from (select * from ${table} order by ${column} limit 1) t,
       generate_series(1, ${COPIES}) n; commit`,
  );
}

async function page(path: string, query: string) {
  const token = path.endsWith("/operators") ? tokens.admin : tokens.own;
  const response = await fetch(new URL(`${path}?${query}`, world.web.url), {
    headers: { authorization: `Bearer ${token}` },
  });
  const body: unknown = await response.json();
  expect(response.status, JSON.stringify(body)).toBe(200);
  return Page.parse(body);
}

/** The property that identifies an item of any listing. */
function nameOf(item: Readonly<Record<string, unknown>>): string {
  return JSON.stringify(item["id"] ?? item["plan_id"] ?? item);
}

test("the API has paged listings", () => {
  expect(paged.map(([path]) => path)).toEqual(
    expect.arrayContaining(
      ["tasks", "orders", "plans", "runs", "tokens", "operators", "audit"].map((at) => `/api/fleet/${at}`),
    ),
  );
});

test.each(paged)("the pages of %s?%s together are the whole listing", async (path, query) => {
  const whole = (await page(path, `${query}&limit=200`)).items.map(nameOf);
  for (const limit of [1, 2, 3]) {
    const seen: string[] = [];
    let cursor = "";
    for (;;) {
      const { items, nextCursor } = await page(path, `${query}&limit=${limit}${cursor}`);
      seen.push(...items.map(nameOf));
      if (nextCursor === null) break;
      cursor = `&cursor=${encodeURIComponent(nextCursor)}`;
    }
    expect(seen, `limit ${limit}`).toEqual(whole);
  }
  expect(whole.length).toBeGreaterThan(/tokens|operators|audit/.test(path) ? 0 : COPIES);
});

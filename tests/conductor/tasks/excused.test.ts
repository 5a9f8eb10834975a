/** Time in some conditions does not count: the code and the SQL that counts minutes must agree on which. */
import { expect, test } from "vitest";
import { EXCUSED_CONDITIONS } from "../../../src/domain/task/task.ts";
import { testDatabase } from "../../support/database.ts";

test("fleet_record_usage excuses the same conditions as the code", async () => {
  await using database = await testDatabase();

  const [row] = await database.query("select prosrc from pg_proc where proname = 'fleet_record_usage'");

  const list = /condition in \((?<names>[^)]+)\)/.exec(String(row?.["prosrc"]))?.groups?.["names"] ?? "";
  const names = [...list.matchAll(/'(\w+)'/g)].map(([, name]) => name);
  expect(new Set(names)).toEqual(EXCUSED_CONDITIONS);
});

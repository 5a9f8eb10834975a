/** fleet migrate: brings the schema up to date; once per deploy, before the new processes start. */
import { asString, type Command } from "../command.ts";

export const migrateCommand: Command = {
  usage: "migrate",
  summary: "bring the database schema up to date",
  options: [["--down <migration>", "revert everything after this one (0000: everything)"]],
  examples: ["fleet migrate", "fleet migrate --down 0004_delivery"],

  async run({ terminal, json }, _args, { down }) {
    const [{ processConfig }, { openLog }, { migrateAll, openDatabase }] = await Promise.all([
      import("../../processes/env.ts"),
      import("../../log.ts"),
      import("../../processes/fleet.ts"),
    ]);
    const config = processConfig();
    const database = await openDatabase(config, await openLog({ level: "warn" }));
    try {
      const to = asString(down);
      const url = config.DATABASE_DIRECT_URL ?? database.url;
      const say = (message: string) => void (json || terminal.line(message));
      const names =
        to === undefined
          ? await migrateAll(config, database.url, say)
          : await (await import("../../store/migrate.ts")).migrateDown(url, to, { log: say });
      if (json) terminal.json({ direction: to === undefined ? "up" : "down", migrations: names });
      else if (names.length === 0) terminal.line("The schema is up to date.");
    } finally {
      await database.stop();
    }
  },
};

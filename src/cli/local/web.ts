/** fleet web: serves the API, its documentation and the queue board; runs no processors. */
import type { Command } from "../command.ts";

export const webCommand: Command = {
  usage: "web",
  summary: "serve the API and the queue board",
  options: [],
  examples: ["DATABASE_URL=postgres://… REDIS_URL=redis://… PORT=8080 fleet web"],

  async run({ terminal }) {
    const [{ processConfig }, { openLog }, { openFleet }, { startWeb }, { dieOnUnhandled, drainOnSignal }] =
      await Promise.all([
        import("../../processes/env.ts"),
        import("../../log.ts"),
        import("../../processes/fleet.ts"),
        import("../../processes/web.ts"),
        import("../../processes/shutdown.ts"),
      ]);
    const config = processConfig();
    const log = await openLog({ level: config.FLEET_LOG_LEVEL });
    dieOnUnhandled(log);
    const open = await openFleet({ config, log, write: terminal.raw, statementTimeoutMs: 5_000 });
    const web = await startWeb(open, config);
    await drainOnSignal(log, async () => {
      await web.close();
      await open.close();
    });
  },
};

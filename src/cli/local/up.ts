/** fleet up: the whole of Fleetwright in one process, for this machine. */
import type { Command, Shell } from "../command.ts";

export const upCommand: Command = {
  usage: "up",
  summary: "run everything on this machine: database, API, queue board, worker",
  options: [["--slots <n>", "agents at once (default: 4)"]],
  examples: ["fleet up", "PORT=9000 fleet up --slots 8", "REDIS_URL=redis://127.0.0.1:6379 fleet up"],

  async run(shell, _args, { slots }) {
    const [{ processConfig }, { openLog, openLogFile }, { startUp, LOCAL_OPERATOR }, { dieOnUnhandled, untilSignalled }] =
      await Promise.all([
        import("../../processes/env.ts"),
        import("../../log.ts"),
        import("../../processes/up.ts"),
        import("../../processes/shutdown.ts"),
      ]);
    const config = processConfig(slots === undefined ? {} : { FLEET_SLOTS: String(slots) });
    await refuseSecond(shell, config.FLEET_HOME);
    const { terminal } = shell;
    // On a terminal people read the banner and the notifications; everything else is in the file.
    const log = terminal.isTty
      ? await openLog({ level: config.FLEET_LOG_LEVEL, to: await openLogFile(config.FLEET_HOME) })
      : await openLog({ level: config.FLEET_LOG_LEVEL });
    dieOnUnhandled(log);
    const stack = await startUp({
      config,
      log,
      write: (line) => terminal.line(line),
      say: (sentence) => terminal.note(terminal.paint("dim", `${sentence} …`)),
      onStuck(_queue, sentence) {
        log.fatal({ component: "queue" }, sentence);
        process.exit(1);
      },
    });
    const { paint } = terminal;
    const link = await stack.web.loginLinkFor(LOCAL_OPERATOR);
    const facts: [string, string][] = [
      ["API", `${stack.web.url}/api/docs`],
      ["Queues", `${link}  ${paint("dim", "(works once; another: fleet login)")}`],
      ["Data", config.FLEET_HOME],
      ["Database", stack.embedded ? "embedded PostgreSQL (DATABASE_URL uses your own)" : "DATABASE_URL"],
      ["Queue", stack.queues === "redis" ? "Redis (REDIS_URL)" : "in PostgreSQL (REDIS_URL=redis://… uses Redis)"],
      ["Agents", `${config.FLEET_SLOTS} at once on host ${config.FLEET_HOST_ID}`],
    ];
    terminal.line(`${paint("bold", "Fleetwright is up.")}`);
    for (const [name, value] of facts) terminal.line(`  ${paint("dim", name.padEnd(9))} ${value}`);
    terminal.line(`  ${paint("dim", "Try".padEnd(9))} fleet spawn <repository> "what to do" --wait`);
    terminal.line(paint("dim", "  Ctrl-C stops it; agents run on and are found again."));
    await untilSignalled(log, () => stack.close());
    terminal.line("Stopped.");
  },
};

/** Two of them would serve the same home from two ports, and the commands would talk to the last one. */
async function refuseSecond({ world }: Shell, home: string): Promise<void> {
  const { readCredentials, failure } = await import("../credentials.ts");
  const known = await readCredentials({ ...world.env, FLEET_HOME: home, FLEET_URL: "", FLEET_TOKEN: "" }).catch(() => undefined);
  if (!known) return;
  const alive = await fetch(new URL("/healthz", known.url), { signal: AbortSignal.timeout(1_000) }).then(
    (response) => response.ok,
    () => false,
  );
  if (alive) {
    throw await failure(
      "queue-unusable",
      `Fleetwright already runs for ${home}, at ${known.url}. Another one needs a home of its own: FLEET_HOME=… fleet up`,
    );
  }
}

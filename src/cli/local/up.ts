/** fleet up: runs all of Fleetwright in one process, for this machine. */
import type { Config } from "../../environment.ts";
import type { RunningStack } from "../../processes/up.ts";
import { asString, type Command, type Shell } from "../command.ts";
import type { Terminal } from "../print/terminal.ts";

export const upCommand: Command = {
  usage: "up",
  summary: "run everything on this machine: database, API, queue board, worker",
  options: [["--slots <n>", "how many agents may run at once (default: 4)"]],
  examples: ["fleet up", "PORT=9000 fleet up --slots 8", "REDIS_URL=redis://127.0.0.1:6379 fleet up"],

  async run(shell, _args, { slots }) {
    const [
      { processConfig },
      { openLog, openLogFile },
      { startStack },
      { dieOnUnhandled, drainOnSignal },
      { openProgress },
    ] = await Promise.all([
      import("../../processes/env.ts"),
      import("../../log.ts"),
      import("../../processes/up.ts"),
      import("../../processes/shutdown.ts"),
      import("../print/progress.ts"),
    ]);
    const typed = asString(slots);
    const config = processConfig(typed === undefined ? {} : { FLEET_SLOTS: typed });
    await assertNotRunning(shell, config.FLEET_HOME);
    const { terminal } = shell;
    // On a terminal people read the banner and the notifications; everything else goes to the log file.
    const { prepareHome } = await import("../../processes/preflight.ts");
    await prepareHome(config.FLEET_HOME);
    const log = terminal.isTty
      ? await openLog({ level: config.FLEET_LOG_LEVEL, to: await openLogFile(config.FLEET_HOME) })
      : await openLog({ level: config.FLEET_LOG_LEVEL });
    dieOnUnhandled(log);
    const progress = terminal.isTty ? openProgress(terminal, shell.world.clock) : undefined;
    const starting = startStack({
      config,
      log,
      write: terminal.raw,
      onProgress: (sentence) => progress?.update(`${sentence} …`),
      onStuck(_queue, sentence) {
        log.fatal({ component: "queue" }, sentence);
        process.exit(1);
      },
    });
    // Handled from here on: a signal during the start waits for it, so that whatever was started is stopped.
    const stopped = drainOnSignal(log, async () => (await starting).close());
    const stack = await starting.catch((error: unknown) => {
      progress?.end("");
      throw error;
    });
    progress?.end("");
    for (const line of banner(terminal, config, stack)) terminal.line(line);
    await stopped;
    terminal.line("Stopped.");
  },
};

/** What is running, the alternatives, and what to type next; it fits 80 columns. */
function banner({ paint, isTty }: Terminal, config: Config, { web, embedded, queues }: RunningStack): string[] {
  const facts: [name: string, value: string, instead: string][] = [
    ["Database", embedded ? "embedded PostgreSQL" : "your PostgreSQL", embedded ? "or DATABASE_URL=postgres://…" : ""],
    ["Queues", queues === "redis" ? "in Redis" : "in PostgreSQL", queues === "redis" ? "" : "or REDIS_URL=redis://…"],
    ["Agents", `${config.FLEET_SLOTS} at once on ${config.FLEET_HOST_ID}`, "or --slots <n>"],
    ["Data", config.FLEET_HOME, ""],
    ...(isTty ? [["Log", `${config.FLEET_HOME}/logs/fleet.log`, ""] as [string, string, string]] : []),
    ["API", `${web.url}/api/docs`, ""],
    ["Board", `${web.url}/queues`, "log in: npx fleet login"],
  ];
  const widest = Math.max(...facts.map(([, value, instead]) => (instead ? value.length : 0)));
  return [
    `${paint("green", "★")} ${paint("bold", `Fleetwright is up at ${web.url}`)}`,
    "",
    ...facts.map(([name, value, instead]) =>
      `  ${paint("dim", name.padEnd(9))} ${value.padEnd(instead ? widest + 2 : 0)}${paint("dim", instead)}`.trimEnd(),
    ),
    "",
    "  Next, in another terminal:",
    '  npx fleet spawn <repository> "what to do" --agent-type stub --wait',
    "",
    paint("dim", "  Ctrl-C stops it; agents continue to run and are adopted at the next start."),
  ];
}

/** Two instances would serve one home from two ports, and commands would reach only the last one. */
async function assertNotRunning({ world }: Shell, home: string): Promise<void> {
  const { readCredentials, fleetError } = await import("../client/credentials.ts");
  const known = await readCredentials({ ...world.env, FLEET_HOME: home, FLEET_URL: "", FLEET_TOKEN: "" }).catch(
    () => undefined,
  );
  if (!known) return;
  const alive = await fetch(new URL("/healthz", known.url), { signal: AbortSignal.timeout(1_000) }).then(
    (response) => response.ok,
    () => false,
  );
  if (alive) {
    throw await fleetError(
      "queue-unusable",
      `Fleetwright already runs for ${home}, at ${known.url}. A second instance needs its own home: FLEET_HOME=… PORT=0 fleet up`,
    );
  }
}

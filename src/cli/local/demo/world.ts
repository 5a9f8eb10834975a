/** The environment of the demo: a temporary folder with a home, a small real repository and the whole stack; and its removal. */
import { chmod, copyFile, mkdir, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openTmux } from "../../../agents/runtime/tmux.ts";
import { LOCAL_OPERATOR } from "../../../domain/operator.ts";
import { readConfig, type Config } from "../../../environment.ts";
import { parseSettings, type Settings } from "../../../domain/settings/settings.ts";
import { FLEETWRIGHT_IDENTITY, git } from "../../../git/git.ts";
import { openLog, openLogFile, type Log } from "../../../log.ts";
import type { RunningStack } from "../../../processes/up.ts";
import type { Credentials } from "../../client/credentials.ts";

export interface DemoWorld {
  readonly home: string;
  readonly repository: string;
  readonly config: Config;
  readonly stack: RunningStack;
  readonly credentials: Credentials;
}

export interface DemoPaths {
  readonly root: string;
  readonly home: string;
  readonly repository: string;
  readonly schedules: string;
  readonly logFile: string;
}

const REVIEWER = fileURLToPath(new URL("reviewer.mjs", import.meta.url));
const DAY_MS = 24 * 3_600_000;

/** The repository that the agents change. Its check runs every script in checks/, so a change can break it and fix it again. */
const FILES: Readonly<Record<string, string>> = {
  "README.md": "# Greetings\n\nSays hello. `sh greet.sh Ada` greets Ada; `sh check.sh` checks everything.\n",
  "greet.sh": "#!/bin/sh\n# Greets the named person, or the world.\nprintf 'Hello, %s!\\n' \"${1:-world}\"\n",
  "check.sh": `#!/bin/sh
# The checks of this repository: the program's own, then every script in checks/.
[ "$(sh greet.sh Ada)" = "Hello, Ada!" ] || { echo "error: greet.sh does not greet Ada"; exit 1; }
for check in checks/*.sh; do
  [ -e "$check" ] || continue
  sh "$check" || { echo "error: $check does not hold: $(head -n 1 "$check" | cut -c 3-)"; exit 1; }
done
echo "All checks hold."
# A work order expects evidence: files in this folder are stored with the run.
if [ -n "$FLEET_EVIDENCE" ]; then
  cat >"$FLEET_EVIDENCE/junit.xml" <<END
<testsuite name="greetings" tests="1"><testcase classname="greet" name="greets Ada" time="0.01"/></testsuite>
END
fi
`,
};

export const DEMO_PRODUCT = "greetings";

/** The schedule that runs its work orders every hour. */
const SCHEDULE = {
  schema_version: 1,
  product_id: DEMO_PRODUCT,
  cadence: "hourly",
  jobs: [
    { intent: "validate", priority: 60 },
    { intent: "test", priority: 50 },
  ],
};

/** When we are root, PostgreSQL runs as another user, who must be able to enter the folder. */
export async function makePaths(): Promise<DemoPaths> {
  const root = await realpath(await mkdtemp(join(tmpdir(), "fleetwright-demo-")));
  if (process.getuid?.() === 0) await chmod(root, 0o711);
  const home = join(root, "home");
  const repository = join(root, DEMO_PRODUCT);
  return { root, home, repository, schedules: join(root, "schedules"), logFile: join(home, "logs", "fleet.log") };
}

export async function makeRepository({ repository, schedules }: DemoPaths): Promise<void> {
  await mkdir(schedules);
  await writeFile(join(schedules, `${DEMO_PRODUCT}.json`), `${JSON.stringify(SCHEDULE, undefined, 2)}\n`);
  await mkdir(repository);
  for (const [name, text] of Object.entries(FILES)) await writeFile(join(repository, name), text);
  await git(["init", "-q", "-b", "main"], { cwd: repository });
  await git(["add", "-A"], { cwd: repository });
  await git(["commit", "-q", "-m", "Greet the world"], { cwd: repository, identity: FLEETWRIGHT_IDENTITY });
}

/** Uses nothing of the environment, so that the demo is the same everywhere and touches no existing stack. */
export async function startWorld(paths: DemoPaths, say: (sentence: string) => void): Promise<DemoWorld> {
  const { home, repository } = paths;
  const config = readConfig(
    {
      FLEET_HOME: home,
      FLEET_SCHEDULES: paths.schedules,
      PORT: "0",
      FLEET_HOST_ID: "demo",
      FLEET_TICK_MS: "300",
      FLEET_HEARTBEAT_INTERVAL_MS: "1000",
    },
    { homeDir: home, hostName: "demo" },
  );
  // Imported here, so that `fleet --help` does not load the whole stack.
  const { startStack } = await import("../../../processes/up.ts");
  const log = await openLog({ level: "info", to: await openLogFile(home) });
  const stack = await startStack({
    config,
    log,
    settings: settingsFor(repository),
    onProgress: say,
    write: (text) => note(log, text),
  });
  const token = await stack.web.issueFor(LOCAL_OPERATOR, DAY_MS);
  return { home, repository, config, stack, credentials: { url: stack.web.url, token } };
}

function settingsFor(repository: string): Settings {
  const parsed = parseSettings({
    products: [{ id: DEMO_PRODUCT, repository, commands: { validate: "sh -n greet.sh", test: "sh check.sh" } }],
    reviewers: [
      { name: "security", type: "command", role: "secrets", command: [process.execPath, REVIEWER] },
      { name: "logic", type: "stub", role: "unfinished work" },
    ],
    review: { requiredApprovals: 2 },
    // Half a second, so that the user does not wait a minute.
    retry: { baseDelayMs: 500, capMs: 1_000 },
  });
  if (parsed.ok) return parsed.settings;
  throw new Error(`The demo's own settings are not valid: ${parsed.problems.map(({ message }) => message).join("; ")}`);
}

function note(log: Log, text: string): void {
  log.info({ component: "terminal" }, text.trim());
}

/** Removes everything: agents, tmux, PostgreSQL and files. */
export async function endWorld(paths: DemoPaths, world: DemoWorld | undefined): Promise<void> {
  await world?.stack.close();
  const socket = world?.config.FLEET_TMUX_SOCKET;
  if (socket) await openTmux({ home: paths.home, socket }).shutDown();
  // Where other users cannot enter the folder, PostgreSQL's data is elsewhere and this is a link to it.
  const postgres = await realpath(join(paths.home, "postgres")).catch(() => undefined);
  if (postgres) await rm(postgres, { recursive: true, force: true });
  await rm(paths.root, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
}

/** Copies the log, so that it survives a demo that failed. Undefined when there is no log yet. */
export async function saveLog({ root, logFile }: DemoPaths): Promise<string | undefined> {
  const copy = `${root}.log`;
  return copyFile(logFile, copy).then(
    () => copy,
    () => undefined,
  );
}

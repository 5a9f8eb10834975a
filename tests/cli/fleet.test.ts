/** The CLI commands, from the arguments to the output, over a real server whose responses the test chooses. */
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { main } from "../../src/cli/main.ts";
import { FleetError } from "../../src/domain/errors.ts";
import { PsView } from "../../src/views/agent.ts";
import { testApi, type TestApi } from "../support/api.ts";
import { temporaryHome } from "../support/home.ts";
import { aPsView, NOW, TASK_ID } from "../support/views.ts";
import { fakeRoutes, type FakeServer } from "./answers.ts";

const server: FakeServer = { requests: [], failures: [], flow: [], taskReads: 0 };
let api: TestApi;
let token: string;
beforeAll(async () => {
  api = await testApi(fakeRoutes(server));
  token = await api.token();
});
afterAll(() => api.close());

interface Look {
  readonly columns?: number;
  readonly env?: Record<string, string>;
}

/** Runs `fleet …`; returns the exit code and the output. */
async function fleet(words: readonly string[], { columns, env = {} }: Look = {}) {
  let out = "";
  let err = "";
  const exit = await main(words, {
    env: { FLEET_URL: api.url, FLEET_TOKEN: token, ...env },
    cwd: "/",
    stdout: { write: (text) => void (out += text), isTTY: columns !== undefined, columns },
    stderr: { write: (text) => void (err += text), isTTY: columns !== undefined, columns },
    signal: new AbortController().signal,
    clock: () => NOW,
    random: () => 0.5,
  });
  return { exit, out, err };
}

// oxlint-disable-next-line eslint/no-control-regex
const STEERS = /[\u0000-\u0009\u000B-\u001F\u007F-\u009F\u200B-\u200F\u202A-\u202E\u2060-\u206F]/;

test.each([
  [["spawn", "/srv/git/shop.git", "do it", "--agent-type", "stub"]],
  [["show", TASK_ID]],
  [["logs", TASK_ID]],
  [["logs", TASK_ID, "-f"]],
  [["events", "-f", "--task", TASK_ID]],
  [["show", TASK_ID, "--json"]],
  [["ps"]],
])("%j prints nothing that could control a terminal", async (words) => {
  server.flow = ["running"];
  const { exit, out, err } = await fleet(words);

  expect({ exit, err }).toEqual({ exit: 0, err: "" });
  expect(out).not.toBe("");
  expect(out).not.toMatch(STEERS);
});

test("--json prints the view as it is, and parsing it gives the same value", async () => {
  const { out } = await fleet(["ps", "--json"]);

  const seen = PsView.parse(JSON.parse(out));
  expect(seen).toEqual(aPsView());
  expect(JSON.parse(out).agents[0]).toMatchObject({ tenant_id: "acme", host: "build-1" });
});

test.each([
  [["ps"], 0],
  [["ps", "--exit-code", "--host", "well"], 0],
  [["ps", "--exit-code"], 1],
  [["spawn", "only-one-word"], 2],
  [["spawn", "/x", "do it", "--timeout", "soon"], 2],
  [["spawn", "/x", "do it", "--colour"], 2],
  [["nonsense"], 2],
  [["ps", "--status", "asleep"], 2],
  [["show", "nobody"], 3],
  [["merge", TASK_ID], 1],
  [["audit", "verify"], 0],
  [["audit", "checkpoint"], 0],
  [["audit", "verify", "--task", "t"], 4],
  [["invariants"], 4],
  [["--version"], 0],
  [["--help"], 0],
  [["help", "ps"], 0],
  [["ps", "--help"], 0],
])("%j exits with %i", async (words, exit) => {
  expect((await fleet(words)).exit).toBe(exit);
});

test("an error is a sentence on stderr, or a problem document with --json", async () => {
  const shown = await fleet(["show", "nobody"]);
  expect(shown).toMatchObject({ out: "", err: "✖ Task nobody not found. List your tasks with: fleet ps --all\n" });

  const { err } = await fleet(["show", "nobody", "--json"]);
  expect(JSON.parse(err)).toMatchObject({ type: "/problems/task-not-found", status: 404 });
});

test("spawn sends its arguments, and the schema's defaults for the rest", async () => {
  server.requests.length = 0;
  await fleet(["spawn", "/srv/git/shop.git", "do it", "--command", "npm test", "--max-retries", "1", "--type", "docs"]);

  expect(server.requests[0]?.body).toMatchObject({
    repository: "/srv/git/shop.git",
    agentType: "command",
    command: ["sh", "-c", "npm test"],
    maxRetries: 1,
    taskType: "docs",
    timeoutMinutes: 60,
  });
});

test("spawn retries with the same key when the server is unavailable for a moment", async () => {
  server.requests.length = 0;
  server.failures = [new FleetError("database-unavailable", "away", { retryAfterSeconds: 1 })];
  const { exit } = await fleet(["spawn", "/x", "do it"]);

  expect(exit).toBe(0);
  expect(new Set(server.requests.map(({ key }) => key)).size).toBe(1);
  expect(server.requests).toHaveLength(2);
});

test("a request without a key is sent once, whatever happens", async () => {
  server.requests.length = 0;
  server.failures = [new FleetError("database-unavailable", "PostgreSQL does not answer.")];

  expect((await fleet(["reject", TASK_ID, "stream it"])).exit).toBe(1);
  expect(server.requests).toHaveLength(1);
});

test("spawn --wait shows each step once, and its exit code is the outcome", async () => {
  server.flow = ["spawning", "running", "reviewing"];
  const good = await fleet(["spawn", "/x", "do it", "--wait"]);
  expect(good.exit).toBe(0);
  expect(good.out).toMatch(/○ proposed\n[^]*● running[^]*★ ready after [^]*fleet merge a1b2c3d4\n$/);

  server.flow = ["abandoned", "abandoned"];
  expect((await fleet(["spawn", "/x", "do it", "--wait"])).exit).toBe(1);
});

test("reject sends its comment; rm prints how to restore the work", async () => {
  server.requests.length = 0;
  await fleet(["reject", TASK_ID, "stream it"]);
  expect(server.requests[0]?.body).toEqual({ comment: "stream it" });

  expect((await fleet(["rm", TASK_ID])).out).toContain("Restore it: git fetch /s/1.bundle");
});

test.each([160, 100, 80, 60, 48])("ps fits a terminal of %i columns", async (columns) => {
  const { out } = await fleet(["ps"], { columns, env: { NO_COLOR: "1" } });
  expect(out).toMatchSnapshot();
});

test("colours are for terminals, and NO_COLOR is respected", async () => {
  const { out: coloured } = await fleet(["ps"], { columns: 100, env: { TERM: "xterm" } });
  expect(coloured).toContain("\u001B[");
  expect((await fleet(["ps"], { columns: 100, env: { NO_COLOR: "1" } })).out).not.toContain("\u001B[");
  expect((await fleet(["ps"])).out).not.toContain("\u001B[");
});

test("show prints every detail of a task", async () => {
  expect((await fleet(["show", TASK_ID], { columns: 100, env: { NO_COLOR: "1" } })).out).toMatchSnapshot();
});

test("without a server the error says how to start one", async () => {
  await using home = await temporaryHome();
  const away = { FLEET_URL: "", FLEET_TOKEN: "", FLEET_HOME: home.path };
  const none = await fleet(["ps"], { env: away });
  expect(none).toMatchObject({
    exit: 1,
    err: "✖ Fleetwright is not running on this machine. Start it: npx fleet up\n",
  });

  const file = join(home.path, "credentials.json");
  await writeFile(file, JSON.stringify({ url: "http://127.0.0.1:1", token }), { mode: 0o600 });
  expect(await fleet(["ps"], { env: away })).toMatchObject({ exit: 1, err: none.err });

  await chmod(file, 0o644);
  expect(await fleet(["ps"], { env: away })).toMatchObject({ exit: 3, err: expect.stringContaining("chmod 600") });
});

test("the token of the local stack is not sent to another server", async () => {
  await using home = await temporaryHome();
  await writeFile(join(home.path, "credentials.json"), JSON.stringify({ url: "http://127.0.0.1:1", token }), {
    mode: 0o600,
  });

  const { exit, err } = await fleet(["ps"], { env: { FLEET_TOKEN: "", FLEET_HOME: home.path } });
  expect({ exit, err }).toMatchObject({ exit: 3, err: expect.stringContaining("There is no token for") });
});

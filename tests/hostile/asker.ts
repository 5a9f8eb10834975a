/** A client of a real web process, over HTTP and the CLI, that sends hostile texts. */
import { main } from "../../src/cli/main.ts";
import type { Operator } from "../../src/domain/operator.ts";
import { startWeb } from "../../src/processes/web.ts";
import { Problem } from "../../src/views/problem.ts";
import { testFleet, type TestFleet } from "../support/fleet.ts";

export interface ClientResponse {
  readonly status: number;
  readonly body: unknown;
  /** The name of a refusal's error. */
  readonly code: string | undefined;
}

export interface TestClient extends AsyncDisposable {
  readonly fleet: TestFleet;
  readonly by: Operator;
  readonly repository: string;
  ask(method: string, path: string, body?: unknown): Promise<ClientResponse>;
  /** Runs `fleet …`. */
  type(...words: readonly string[]): Promise<{ exit: number; out: string; err: string }>;
  tasks(): Promise<number>;
}

export async function aTestClient(): Promise<TestClient> {
  const fleet = await testFleet({ settings: { tiers: { sovereign: 1_000 } } });
  const web = await startWeb(fleet.open, fleet.config, { relays: false });
  const by = await fleet.operator();
  const token = await web.issueFor(by, 600_000);

  return {
    fleet,
    by,
    repository: await fleet.aRepository(),
    async ask(method, path, body) {
      const response = await fetch(new URL(`/api/fleet${path}`, web.url), {
        method,
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const answer: unknown = await response.json();
      const code = Problem.safeParse(answer).data?.type.split("/").at(-1);
      return { status: response.status, body: answer, code: response.ok ? undefined : code };
    },
    async type(...words) {
      let out = "";
      let err = "";
      const exit = await main(words, {
        env: { FLEET_URL: web.url, FLEET_TOKEN: token },
        cwd: fleet.home,
        stdout: { write: (text) => void (out += text), isTTY: false, columns: undefined },
        stderr: { write: (text) => void (err += text), isTTY: false, columns: undefined },
        signal: new AbortController().signal,
        clock: () => new Date(),
        random: () => 0.5,
      });
      return { exit, out, err };
    },
    async tasks() {
      const [row] = await fleet.query("select count(*)::int as n from fleet_tasks");
      return Number(row?.["n"]);
    },
    async [Symbol.asyncDispose]() {
      await web.close();
      await fleet[Symbol.asyncDispose]();
    },
  };
}

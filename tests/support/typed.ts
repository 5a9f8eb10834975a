/** Runs `fleet …` against the real web process of a test fleet. */
import { main } from "../../src/cli/main.ts";
import type { Operator } from "../../src/domain/operator.ts";
import { startWeb } from "../../src/processes/web.ts";
import type { TestFleet } from "./fleet.ts";

export interface TestCli extends AsyncDisposable {
  readonly by: Operator;
  readonly url: string;
  readonly token: string;
  fleet(...words: string[]): Promise<{ readonly exit: number; readonly out: string; readonly err: string }>;
}

/** As an operator of the given tenant. */
export async function openTestCli(fleet: TestFleet, { tenantId = "local", columns = 120 } = {}): Promise<TestCli> {
  const web = await startWeb(fleet.open, fleet.config, { relays: false });
  const by = await fleet.operator({ tenantId });
  const token = await web.issueFor(by, 600_000);
  return {
    by,
    url: web.url,
    token,
    async fleet(...words) {
      let out = "";
      let err = "";
      const exit = await main(words, {
        env: { FLEET_URL: web.url, FLEET_TOKEN: token, FLEET_HOME: fleet.home, NO_COLOR: "1" },
        cwd: "/",
        stdout: { write: (text) => void (out += text), isTTY: false, columns },
        stderr: { write: (text) => void (err += text), isTTY: false, columns },
        signal: new AbortController().signal,
        clock: fleet.fleet.clock,
        random: () => 0.5,
      });
      return { exit, out, err };
    },
    [Symbol.asyncDispose]: () => web.close(),
  };
}

/** Which failures are transient, and which of those are retried once. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import {
  classifyOutcome,
  mayHeal,
  MAX_HEAL_ATTEMPTS,
  type CommandOutcome,
} from "../../../src/domain/orders/transient-failures.ts";
import { HEALABLE_INTENTS, Intent } from "../../../src/domain/orders/order.ts";

const RULES = { exitCodes: [75], outputs: ["flaky: try again"] };
const end = (more: Partial<CommandOutcome>): CommandOutcome => ({
  exitCode: 0,
  signal: null,
  timedOut: false,
  over: undefined,
  output: "",
  ...more,
});

test.each<[string, Partial<CommandOutcome>, string | undefined, boolean]>([
  ["goes well", {}, undefined, false],
  ["goes well, whatever it says", { output: "ECONNRESET" }, undefined, false],
  ["fails", { exitCode: 1 }, "exit_1", false],
  ["uses up its seconds", { over: "max_seconds", timedOut: true, exitCode: null }, "budget_exceeded", false],
  ["floods", { over: "max_output_bytes", signal: "SIGTERM", exitCode: null }, "budget_exceeded", false],
  ["may not be started", { over: "max_actions", exitCode: null }, "budget_exceeded", false],
  ["takes too long", { timedOut: true, exitCode: null, signal: "SIGTERM" }, "time_out", true],
  ["is killed", { exitCode: null, signal: "SIGKILL" }, "killed", true],
  ["says that what it ran was killed", { exitCode: 137 }, "killed", true],
  ["crashes by itself", { exitCode: null, signal: "SIGSEGV" }, "signal_sigsegv", false],
  ["is not there", { exitCode: 127, output: "ENOTFOUND" }, "not_runnable", false],
  ["meets a network that is away", { exitCode: 1, output: "npm error code ENOTFOUND" }, "network", true],
  ["meets a gateway that is down", { exitCode: 22, output: "503 Service Unavailable" }, "network", true],
  ["speaks of a network word by the way", { exitCode: 1, output: "ENOTFOUND_" }, "exit_1", false],
  ["ends as the product said it may", { exitCode: 75 }, "exit_75", true],
  ["says what the product said it may", { exitCode: 2, output: "… flaky: try again …" }, "exit_2", true],
])("a command that %s", (_, more, failure, transient) => {
  const classified = classifyOutcome(end(more), RULES);

  expect(classified).toEqual(failure === undefined ? undefined : { failure, transient });
});

const anEnd = fc.record({
  exitCode: fc.option(fc.integer({ min: 0, max: 255 })),
  signal: fc.option(fc.constantFrom("SIGKILL", "SIGSEGV", "SIGTERM")),
  timedOut: fc.boolean(),
  over: fc.constantFrom(undefined, "max_actions", "max_seconds", "max_output_bytes" as const),
  output: fc.constantFrom("", "ECONNRESET", "flaky: try again", "assertion failed"),
});

test("a budget that is used up is never a transient failure, and only exit 0 is success", () => {
  fc.assert(
    fc.property(anEnd, (one) => {
      const judged = classifyOutcome(one, RULES);
      const good = one.exitCode === 0 && !one.timedOut && one.over === undefined;

      expect(judged === undefined).toBe(good);
      expect(one.over !== undefined && judged?.transient).toBe(false);
      expect(judged?.failure ?? "ok").toMatch(/^[a-z][a-z0-9_]*$/);
    }),
  );
});

test("only validate and test are retried, once, and only after a transient failure", () => {
  fc.assert(
    fc.property(fc.constantFrom(...Intent.options), fc.nat(5), fc.boolean(), (intent, attempt, transient) => {
      const healed = mayHeal({ intent, attempt, transient });
      expect(healed).toBe(transient && attempt < MAX_HEAL_ATTEMPTS && HEALABLE_INTENTS.includes(intent));
    }),
  );
  expect(MAX_HEAL_ATTEMPTS).toBe(1);
});

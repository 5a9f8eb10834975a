/** fleet invariants: checks now what must always be true. */
import { type Command, NOT_VERIFIED } from "../command.ts";

export const invariantsCommand: Command = {
  usage: "invariants",
  summary: "check what must always be true, and whether every periodic check runs",
  options: [],
  examples: ["fleet invariants", "fleet invariants --json | jq '.invariants[] | select(.holds == false)'"],

  async run({ api, terminal, json, world }) {
    const proof = await api.request(
      "GET /api/fleet/invariants",
      {},
      async () => (await import("../../views/integrity.ts")).InvariantsView,
    );
    if (json) terminal.json(proof);
    else {
      const { ago, formatDuration } = await import("../print/format.ts");
      for (const { id, statement, holds, violations } of proof.invariants) {
        terminal.line(
          `${terminal.mark(holds)} ${terminal.paint("bold", id.padEnd(7))}  ${terminal.sanitize(statement)}`,
        );
        for (const violation of violations) terminal.line(terminal.paint("red", `    ${terminal.sanitize(violation)}`));
      }
      if (proof.checks.length > 0) terminal.line("");
      for (const { name, runs, everyMs, lastGoodAt } of proof.checks) {
        const last = lastGoodAt === null ? "never yet" : ago(lastGoodAt, world.clock());
        terminal.line(`${terminal.mark(runs)} ${terminal.sanitize(name)}, every ${formatDuration(everyMs)}: ${last}`);
      }
      for (const { summary, since } of proof.alerts) {
        terminal.line(terminal.paint("red", `! ${terminal.sanitize(summary)}, ${ago(since, world.clock())}`));
      }
    }
    return proof.ok ? 0 : NOT_VERIFIED;
  },
};

/** fleet invariants: what must always be true, checked now. */
import type { Command } from "../command.ts";

const NOT_VERIFIED = 4;

export const invariantsCommand: Command = {
  usage: "invariants",
  summary: "check what must always be true",
  options: [],
  examples: ["fleet invariants", "fleet invariants --json | jq '.invariants[] | select(.holds == false)'"],

  async run({ api, terminal, json }) {
    const proof = await api.ask(
      "GET /api/fleet/invariants",
      {},
      async () => (await import("../../views/proof.ts")).InvariantsView,
    );
    if (json) terminal.json(proof);
    else {
      for (const { id, statement, holds, violations } of proof.invariants) {
        terminal.line(`${terminal.mark(holds)} ${terminal.paint("bold", id.padEnd(7))}  ${terminal.shown(statement)}`);
        for (const violation of violations) terminal.line(terminal.paint("red", `    ${terminal.shown(violation)}`));
      }
    }
    return proof.ok ? 0 : NOT_VERIFIED;
  },
};

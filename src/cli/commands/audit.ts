/** fleet audit verify: recompute the audit chains, and name the first entry of each that does not hold. */
import { queryOf, textOf, type Command } from "../command.ts";
import { plural } from "../words.ts";

const NOT_VERIFIED = 4;

export const auditCommand: Command = {
  usage: "audit verify",
  summary: "recompute the audit chains",
  options: [["--task <task>", "only one task's"]],
  examples: ["fleet audit verify", "fleet audit verify --task 3f9a1c2b"],

  async run({ api, terminal, json }, _args, { task }) {
    const path = `/api/fleet/audit/verify${queryOf({ task: textOf(task) })}`;
    const proof = await api.get(path, async () => (await import("../../views/proof.ts")).AuditProof);
    if (json) terminal.json(proof);
    else {
      const size = `${plural(proof.chains, "chain")}, ${plural(proof.entries, "entry", "entries")}`;
      terminal.line(`${terminal.mark(proof.ok)} ${size}: ${proof.ok ? "all hold" : `${proof.broken.length} broken`}`);
      for (const { taskId, seq, why } of proof.broken)
        terminal.line(`  ${terminal.shown(taskId)}  entry ${seq}: ${terminal.shown(why)}`);
    }
    return proof.ok ? 0 : NOT_VERIFIED;
  },
};

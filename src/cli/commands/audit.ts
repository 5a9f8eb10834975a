/** fleet audit: recompute the chains and hold them to the signed checkpoints, naming what does not hold; sign one now. */
import { queryOf, textOf, type Command, type Shell } from "../command.ts";
import type { AuditProof } from "../../views/proof.ts";
import { plural } from "../words.ts";

type Terminal = Shell["terminal"];
type CheckpointProof = NonNullable<AuditProof["checkpoint"]>;

const NOT_VERIFIED = 4;

const verifyCommand: Command = {
  usage: "audit verify",
  summary: "recompute the audit chains, and hold them to the last signed checkpoint",
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
      if (proof.checkpoint) for (const line of checkpointLines(terminal, proof.checkpoint)) terminal.line(line);
    }
    return proof.ok ? 0 : NOT_VERIFIED;
  },
};

const checkpointView = async () => (await import("../../views/proof.ts")).CheckpointView;

const checkpointCommand: Command = {
  usage: "audit checkpoint",
  summary: "sign how all audit chains stand now (role admin); it is done every hour by itself",
  options: [],
  examples: ["fleet audit checkpoint"],

  async run({ api, terminal, json }) {
    const made = await api.post("/api/fleet/audit/checkpoint", {}, checkpointView);
    if (json) terminal.json(made);
    else
      terminal.line(
        `${terminal.mark(true)} checkpoint ${made.id} over ${plural(made.chains, "chain")}, key ${made.keyId}`,
      );
  },
};

export const auditCommands: readonly Command[] = [verifyCommand, checkpointCommand];

function checkpointLines(terminal: Terminal, { id, at, chains, broken }: CheckpointProof): string[] {
  const [first] = broken;
  if (!first)
    return [`${terminal.mark(true)} checkpoint ${id} of ${at} over ${plural(chains, "chain")}: signed and kept to`];
  return broken.map((one) => `${terminal.mark(false)} checkpoint ${one.id}: ${terminal.shown(one.why)}`);
}

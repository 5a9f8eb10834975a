/** fleet audit: recomputes the chains, compares them with the signed checkpoints, and signs a new checkpoint on request. */
import { asString, type Command, NOT_VERIFIED, type Shell } from "../command.ts";
import type { AuditProof } from "../../views/integrity.ts";
import { plural } from "../print/format.ts";
import { exportAuditCommand, listAuditCommand } from "./audit-export.ts";

const proofView = async () => (await import("../../views/integrity.ts")).AuditProof;

type Terminal = Shell["terminal"];
type CheckpointProof = NonNullable<AuditProof["checkpoint"]>;

const verifyCommand: Command = {
  usage: "audit verify",
  summary: "recompute the audit chains and compare them with the last signed checkpoint",
  options: [
    ["--task <task>", "only one task's"],
    ["--file <file>", "check an export instead; needs no server"],
  ],
  examples: ["fleet audit verify", "fleet audit verify --task 3f9a1c2b", "fleet audit verify --file audit.jsonl"],

  async run(shell, _args, { task, file }) {
    const { api, terminal, json } = shell;
    const path = asString(file);
    if (path !== undefined) return verifyExport(shell, path);
    const query = { task: asString(task) };
    const proof = await api.request("GET /api/fleet/audit/verify", { query }, proofView);
    if (json) terminal.json(proof);
    else {
      const size = `${plural(proof.chains, "chain")}, ${plural(proof.entries, "entry", "entries")}`;
      terminal.line(`${terminal.mark(proof.ok)} ${size}: ${proof.ok ? "all valid" : `${proof.broken.length} broken`}`);
      for (const { taskId, seq, why } of proof.broken)
        terminal.line(`  ${terminal.sanitize(taskId)}  entry ${seq}: ${terminal.sanitize(why)}`);
      if (proof.checkpoint) for (const line of checkpointLines(terminal, proof.checkpoint)) terminal.line(line);
    }
    return proof.ok ? 0 : NOT_VERIFIED;
  },
};

const checkpointView = async () => (await import("../../views/integrity.ts")).CheckpointView;

const checkpointCommand: Command = {
  usage: "audit checkpoint",
  summary: "sign the current state of all audit chains (role admin); also done automatically every hour",
  options: [],
  examples: ["fleet audit checkpoint"],

  async run({ api, terminal, json }) {
    const made = await api.request("POST /api/fleet/audit/checkpoint", {}, checkpointView);
    if (json) terminal.json(made);
    else
      terminal.line(
        `${terminal.mark(true)} checkpoint ${made.id} over ${plural(made.chains, "chain")}, key ${made.keyId}`,
      );
  },
};

export const auditCommands: readonly Command[] = [
  listAuditCommand,
  exportAuditCommand,
  verifyCommand,
  checkpointCommand,
];

async function verifyExport({ terminal, json }: Shell, path: string): Promise<number> {
  const { verifyFile } = await import("../audit-file.ts");
  const proof = await verifyFile(path);
  if (json) terminal.json(proof);
  else {
    const size = `${plural(proof.chains, "chain")}, ${plural(proof.entries, "entry", "entries")}`;
    terminal.line(`${terminal.mark(proof.ok)} ${size}: ${proof.ok ? "all valid" : "changed since they were written"}`);
    for (const { chain, seq, line, why } of proof.broken)
      terminal.line(`  ${terminal.sanitize(chain)}  entry ${seq} (line ${line}): ${terminal.sanitize(why)}`);
    if (proof.file !== null) terminal.line(`  ${terminal.sanitize(path)}: ${terminal.sanitize(proof.file)}`);
  }
  return proof.ok ? 0 : NOT_VERIFIED;
}

function checkpointLines(terminal: Terminal, { id, at, chains, broken }: CheckpointProof): string[] {
  const [first] = broken;
  if (!first)
    return [
      `${terminal.mark(true)} checkpoint ${id} of ${at} over ${plural(chains, "chain")}: signature valid, chains match`,
    ];
  return broken.map((one) => `${terminal.mark(false)} checkpoint ${one.id}: ${terminal.sanitize(one.why)}`);
}

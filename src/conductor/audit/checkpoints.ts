/** Checkpoints of the audit log: the head of every chain is copied, and a digest over all heads is signed. */
import { checkpointText, digestHead } from "../../domain/audit/checkpoint.ts";
import { FleetError } from "../../domain/errors.ts";
import type { Operator } from "../../domain/operator.ts";
import { NIL_UUID } from "../../domain/text/uuid.ts";
import * as heads from "../../store/audit-checkpoints.ts";
import { formatJsonb } from "../../store/audit-months.ts";
import { auditBy } from "../../store/operators.ts";
import type { Tx } from "../../store/sql.ts";
import type { Fleet } from "../fleet.ts";
import { readRows } from "./rows.ts";

const COVER_BATCH = 2_000;
const DIGEST_BATCH = 5_000;
const CHECKPOINT_BATCH = 500;

export interface CheckpointSummary {
  readonly id: number;
  readonly at: string;
  readonly chains: number;
  readonly keyId: string;
}

/** One at a time, in one transaction: heads and checkpoint change together. Undefined when another worker creates one. */
export async function createCheckpoint(fleet: Fleet): Promise<CheckpointSummary | undefined> {
  const created = await withCheckpointLock(fleet, (tx) => writeCheckpoint(fleet, tx));
  if (created) fleet.log.info({ event: "audit.checkpoint", ...created }, "checkpoint signed");
  return created;
}

/** An operator requests one; the request is audited in their own chain. */
export async function requestCheckpoint(fleet: Fleet, by: Operator): Promise<CheckpointSummary> {
  if (by.role !== "admin") throw new FleetError("tier-too-low", "A checkpoint over all tenants is for role admin.");
  await fleet.store.asSystem((tx) => auditBy(tx, by, "audit.checkpoint", {}));
  const created = await createCheckpoint(fleet);
  if (!created) throw new FleetError("stale-version", "Another checkpoint is being created. Try again in a moment.");
  return created;
}

/** Prevents other checkpoints while `work` runs. */
export function withCheckpointLock<Result>(
  fleet: Fleet,
  work: (tx: Tx) => Promise<Result>,
): Promise<Result | undefined> {
  return fleet.store.tryWithLock("audit/checkpoint", work);
}

/**
 * Runs in the transaction of the caller, who holds the lock. `remove` runs between copying the heads and signing them, and
 * returns what retention removes together with this checkpoint.
 */
export async function writeCheckpoint(
  fleet: Fleet,
  tx: Tx,
  remove: () => Promise<readonly object[]> = async () => [],
): Promise<CheckpointSummary> {
  let after: string | undefined = NIL_UUID;
  while (after !== undefined) after = await heads.upsertTaskHeads(tx, after, COVER_BATCH);
  await heads.upsertOperatorHeads(tx);
  const removedText = await formatJsonb(tx, await remove());

  const [{ digest, count }, last] = [await computeDigest(fleet, tx), await heads.findLastCheckpoint(tx)];
  const atText = fleet.clock().toISOString();
  const text = { atText, heads: count, digest, previous: last?.signature ?? "", removedText };
  const signed = await fleet.signer.sign(checkpointText(text));
  const id = await heads.insertCheckpoint(tx, { ...text, ...signed });
  return { id, at: atText, chains: count, keyId: signed.keyId };
}

async function computeDigest(fleet: Fleet, tx: Tx): Promise<{ digest: string; count: number }> {
  let [digest, count] = ["", 0];
  const all = readRows<heads.AuditHead>(DIGEST_BATCH, (last) =>
    heads.listAuditHeads(tx, last?.chain ?? "", DIGEST_BATCH),
  );
  for await (const head of all) {
    digest = digestHead(digest, head, fleet.sha256);
    count += 1;
  }
  return { digest, count };
}

export interface CheckpointVerdict {
  readonly id: number;
  readonly at: string;
  readonly chains: number;
  /** What is wrong with this checkpoint or an earlier one. */
  readonly broken: readonly { readonly id: number; readonly why: string }[];
}

/** Compares the last checkpoint with the heads that it signed, and verifies all signatures, each of which covers the last. */
export async function verifyCheckpoints(fleet: Fleet, tx: Tx): Promise<CheckpointVerdict | undefined> {
  const last = await heads.findLastCheckpoint(tx);
  const { digest, count } = await computeDigest(fleet, tx);
  if (!last) {
    if (count === 0) return undefined;
    const why = `${count} chain heads are stored, but no checkpoint exists`;
    return { id: 0, at: "", chains: count, broken: [{ id: 0, why }] };
  }
  const broken = await findBrokenSignatures(fleet, tx);
  if (digest !== last.digest || count !== last.heads) {
    broken.unshift({ id: last.id, why: `the heads were changed: it signed ${last.heads}, now there are ${count}` });
  }
  return { id: last.id, at: last.atText, chains: last.heads, broken };
}

async function findBrokenSignatures(fleet: Fleet, tx: Tx): Promise<CheckpointVerdict["broken"][number][]> {
  const broken: CheckpointVerdict["broken"][number][] = [];
  let next: heads.SignedCheckpoint | undefined;
  const all = readRows<heads.SignedCheckpoint>(CHECKPOINT_BATCH, (last) =>
    heads.listSignedCheckpoints(tx, { before: last?.id ?? Number.MAX_SAFE_INTEGER, limit: CHECKPOINT_BATCH }),
  );
  const checkPrevious = (signature: string) => {
    if (next && next.previous !== signature) broken.push({ id: next.id, why: "the checkpoint before it is missing" });
  };
  for await (const one of all) {
    const why = await signatureProblem(fleet, one);
    if (why) broken.push({ id: one.id, why });
    checkPrevious(one.signature);
    next = one;
  }
  checkPrevious("");
  return broken;
}

async function signatureProblem(fleet: Fleet, one: heads.SignedCheckpoint): Promise<string | undefined> {
  if (!one.publicJwk) return `its key ${one.keyId} is unknown`;
  if (one.wasRevoked) return `its key ${one.keyId} was already revoked`;
  const isValid = await fleet.signer.verify(one.publicJwk, checkpointText(one), one.signature);
  return isValid ? undefined : "its signature does not match its content";
}

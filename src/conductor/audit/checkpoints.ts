/** Checkpoints over the audit log: the head of every chain taken over, and a signed digest over all of them. */
import { checkpointText, digestHead } from "../../domain/audit/checkpoint.ts";
import { FleetError } from "../../domain/errors.ts";
import type { Operator } from "../../domain/operator.ts";
import { NIL_UUID } from "../../domain/text/uuid.ts";
import * as heads from "../../store/audit-checkpoints.ts";
import { formatJsonb } from "../../store/audit-months.ts";
import { auditBy } from "../../store/operators.ts";
import type { Tx } from "../../store/sql.ts";
import type { Fleet } from "../fleet.ts";

const COVER_BATCH = 2_000;
const DIGEST_BATCH = 5_000;
const CHECKPOINT_BATCH = 500;

export interface CheckpointSummary {
  readonly id: number;
  readonly at: string;
  readonly chains: number;
  readonly keyId: string;
}

/** One at a time, in one transaction: heads and checkpoint change together. Undefined when another worker is at it. */
export async function createCheckpoint(fleet: Fleet): Promise<CheckpointSummary | undefined> {
  const made = await withCheckpointLock(fleet, (tx) => writeCheckpoint(fleet, tx));
  if (made) fleet.log.info({ event: "audit.checkpoint", ...made }, "checkpoint signed");
  return made;
}

/** Asked for by somebody, and told so in their chain. */
export async function requestCheckpoint(fleet: Fleet, by: Operator): Promise<CheckpointSummary> {
  if (by.role !== "admin") throw new FleetError("tier-too-low", "A checkpoint over all tenants is for role admin.");
  await fleet.store.asSystem((tx) => auditBy(tx, by, "audit.checkpoint", {}));
  const made = await createCheckpoint(fleet);
  if (!made) throw new FleetError("stale-version", "A checkpoint is being made right now. Ask again in a moment.");
  return made;
}

/** Nobody else makes a checkpoint while `work` runs. */
export function withCheckpointLock<Result>(
  fleet: Fleet,
  work: (tx: Tx) => Promise<Result>,
): Promise<Result | undefined> {
  return fleet.store.tryWithLock("audit/checkpoint", work);
}

/**
 * In the transaction of the caller, who holds the lock. `remove`, between taking the heads over and signing them, says what
 * retention takes away with this one.
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
  let [digest, count, after] = ["", 0, ""];
  for (;;) {
    const page = await heads.listAuditHeads(tx, after, DIGEST_BATCH);
    for (const head of page) digest = digestHead(digest, head, fleet.sha256);
    count += page.length;
    after = page.at(-1)?.chain ?? "";
    if (page.length < DIGEST_BATCH) return { digest, count };
  }
}

export interface CheckpointVerdict {
  readonly id: number;
  readonly at: string;
  readonly chains: number;
  /** What is wrong with it, or with one before it. */
  readonly broken: readonly { readonly id: number; readonly why: string }[];
}

/** The last checkpoint against the heads it signed, and the signatures of all, each of which names the one before. */
export async function verifyCheckpoints(fleet: Fleet, tx: Tx): Promise<CheckpointVerdict | undefined> {
  const last = await heads.findLastCheckpoint(tx);
  const { digest, count } = await computeDigest(fleet, tx);
  if (!last) {
    return count === 0
      ? undefined
      : {
          id: 0,
          at: "",
          chains: count,
          broken: [{ id: 0, why: `${count} heads are kept, but no checkpoint is there` }],
        };
  }
  const broken = await findBrokenSignatures(fleet, tx);
  if (digest !== last.digest || count !== last.heads) {
    broken.unshift({ id: last.id, why: `the heads were changed: it signed ${last.heads}, there are ${count}` });
  }
  return { id: last.id, at: last.atText, chains: last.heads, broken };
}

async function findBrokenSignatures(fleet: Fleet, tx: Tx): Promise<CheckpointVerdict["broken"][number][]> {
  const broken: CheckpointVerdict["broken"][number][] = [];
  let before = Number.MAX_SAFE_INTEGER;
  let next: heads.SignedCheckpoint | undefined;
  for (;;) {
    const page = await heads.listSignedCheckpoints(tx, { before, limit: CHECKPOINT_BATCH });
    for (const one of page) {
      const why = await signatureProblem(fleet, one);
      if (why) broken.push({ id: one.id, why });
      if (next && next.previous !== one.signature) broken.push({ id: next.id, why: "the one before it is gone" });
      next = one;
    }
    before = page.at(-1)?.id ?? 0;
    if (page.length < CHECKPOINT_BATCH) break;
  }
  if (next && next.previous !== "") broken.push({ id: next.id, why: "the one before it is gone" });
  return broken;
}

async function signatureProblem(fleet: Fleet, one: heads.SignedCheckpoint): Promise<string | undefined> {
  if (!one.publicJwk) return `its key ${one.keyId} is not known`;
  if (one.wasRevoked) return `its key ${one.keyId} had been revoked`;
  const holds = await fleet.signer.verify(one.publicJwk, checkpointText(one), one.signature);
  return holds ? undefined : "its signature is not of its content";
}

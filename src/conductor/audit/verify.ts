/** Verifying the audit log: every chain is recomputed and compared with its head and with the last checkpoint. */
import { verifyLinks } from "../../domain/audit/audit.ts";
import { findChainMismatch } from "../../domain/audit/checkpoint.ts";
import {
  getChainAnchor,
  findLastCheckpoint,
  listHeadComparisons,
  type HeadComparison,
} from "../../store/audit-checkpoints.ts";
import { listAuditEntries, listChainHeads, type ChainHead } from "../../store/audit.ts";
import type { Tx } from "../../store/sql.ts";
import { verifyCheckpoints, type CheckpointVerdict } from "./checkpoints.ts";
import type { Fleet } from "../fleet.ts";
import { type Principal, SYSTEM } from "../../store/principal.ts";
import { readRows } from "./rows.ts";

const PAGE = 500;
/** A checkpoint that is created during the verification changes what is compared, so it starts again. */
const MAX_TRIES = 3;

export interface AuditVerdict {
  readonly ok: boolean;
  readonly chains: number;
  readonly entries: number;
  /** The first broken entry of each broken chain. */
  readonly broken: readonly { readonly taskId: string; readonly seq: number; readonly why: string }[];
  /** The last checkpoint, when all tenants are verified: it covers all of them. */
  readonly checkpoint: CheckpointVerdict | undefined;
}

/** Verifies the chains that the principal sees, or the chain of one task. */
export async function verifyAudit(fleet: Fleet, principal: Principal, taskId?: string): Promise<AuditVerdict> {
  for (let tries = 1; ; tries += 1) {
    const before = await latestCheckpoint(fleet);
    const verdict = await fleet.store.transaction(principal, (tx) =>
      verifyChains(fleet, tx, {
        signedAt: before?.atText ?? "",
        onlyChain: taskId && `task:${taskId}`,
        allTenants: principal === SYSTEM && !taskId,
      }),
    );
    if (verdict.ok || tries === MAX_TRIES || (await latestCheckpoint(fleet))?.id === before?.id) return verdict;
  }
}

async function latestCheckpoint(fleet: Fleet): Promise<{ id: number; atText: string } | undefined> {
  return fleet.store.asSystem((tx) => findLastCheckpoint(tx));
}

interface VerifyScope {
  /** When the last checkpoint was signed. */
  readonly signedAt: string;
  readonly onlyChain: string | undefined;
  /** The principal sees all chains of all tenants. */
  readonly allTenants: boolean;
}

async function verifyChains(
  fleet: Fleet,
  tx: Tx,
  { signedAt, onlyChain, allTenants }: VerifyScope,
): Promise<AuditVerdict> {
  const broken = new Map<string, { seq: number; why: string }>();
  let [chains, entries] = [0, 0];
  const verifyHead = async (head: ChainHead) => {
    const verdict = await verifyChain(tx, head, fleet.sha256);
    chains += 1;
    entries += verdict.entries;
    if (verdict.broken) broken.set(head.chain, verdict.broken);
  };
  for await (const head of iterateHeads(tx, onlyChain)) await verifyHead(head);
  const comparisons = readRows<HeadComparison>(PAGE, (last) =>
    listHeadComparisons(tx, { after: last?.chain ?? "", limit: PAGE, only: onlyChain }),
  );
  for await (const signed of comparisons) {
    const mismatch = findChainMismatch(signed, signedAt);
    // Retention has removed the task, and its entries remain.
    if (!signed.isLive && signed.lastSeq !== null) await verifyHead({ ...signed, seq: signed.lastSeq, head: "" });
    if (mismatch && !broken.has(signed.chain)) broken.set(signed.chain, mismatch);
  }
  const checkpoint = allTenants ? await verifyCheckpoints(fleet, tx) : undefined;
  const unsigned = checkpoint?.broken.length ?? 0;
  return {
    ok: broken.size + unsigned === 0,
    chains,
    entries,
    broken: [...broken].map(([chain, { seq, why }]) => ({ taskId: chain.replace(/^\w+:/, ""), seq, why })),
    checkpoint,
  };
}

async function* iterateHeads(tx: Tx, only: string | undefined): AsyncGenerator<ChainHead> {
  if (only) {
    yield* (await listChainHeads(tx, "", PAGE, only)).filter((head) => head.chain === only);
    return;
  }
  yield* readRows<ChainHead>(PAGE, (last) => listChainHeads(tx, last?.chain ?? "", PAGE));
}

/** From the first entry, or the first that retention left, to the head; to the end when there is no head. */
async function verifyChain(tx: Tx, head: ChainHead, sha256: (text: string) => string) {
  const from = await getChainAnchor(tx, head.chain);
  let state = from;
  for (;;) {
    const page = await listAuditEntries(tx, head.chain, { after: state.seq, upTo: head.seq, limit: PAGE });
    const followed = verifyLinks(page, state, sha256);
    state = { seq: followed.seq, hash: followed.hash };
    if (followed.broken) return { entries: state.seq - from.seq, broken: followed.broken };
    if (page.length < PAGE) break;
  }
  const whole = state.seq === head.seq && (head.head === "" || state.hash === head.head);
  const broken = whole
    ? undefined
    : { seq: state.seq + 1, why: `the chain ends at ${state.seq}, but its head is at ${head.seq}` };
  return { entries: state.seq - from.seq, broken };
}

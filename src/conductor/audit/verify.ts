/** Verifying the audit log: every chain is recomputed, and held to its head and to what the last checkpoint knew of it. */
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

const PAGE = 500;
/** A checkpoint made meanwhile changes what is compared: then it is looked at again. */
const MAX_TRIES = 3;

export interface AuditVerdict {
  readonly ok: boolean;
  readonly chains: number;
  readonly entries: number;
  /** The first broken entry of each broken chain. */
  readonly broken: readonly { readonly taskId: string; readonly seq: number; readonly why: string }[];
  /** The last checkpoint, for who sees all tenants: it speaks of all of them. */
  readonly checkpoint: CheckpointVerdict | undefined;
}

/** What `on` may see, or one task's chain. Reads page by page, so a year of entries does not fill the memory. */
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
  /** All chains of all tenants are in sight. */
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
  for await (const held of iterateHeldHeads(tx, onlyChain)) {
    const missed = findChainMismatch(held, signedAt);
    // The task is gone, as tasks go in time; its entries stay.
    if (!held.isLive && held.lastSeq !== null) await verifyHead({ ...held, seq: held.lastSeq, head: "" });
    if (missed && !broken.has(held.chain)) broken.set(held.chain, missed);
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
  let after = "";
  for (;;) {
    const page = await listChainHeads(tx, after, PAGE);
    yield* page;
    const last = page.at(-1);
    if (!last || page.length < PAGE) return;
    after = last.chain;
  }
}

async function* iterateHeldHeads(tx: Tx, only: string | undefined): AsyncGenerator<HeadComparison> {
  let after = "";
  for (;;) {
    const page = await listHeadComparisons(tx, { after, limit: PAGE, only });
    yield* page;
    const last = page.at(-1);
    if (!last || page.length < PAGE) return;
    after = last.chain;
  }
}

/** From the first entry, or from where retention has left off, to the head; without a head, to the end. */
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
    : { seq: state.seq + 1, why: `the chain ends at ${state.seq}, its head says ${head.seq}` };
  return { entries: state.seq - from.seq, broken };
}

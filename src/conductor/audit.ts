/** Verifying the audit log: every chain is recomputed and compared with the head its task remembers. */
import { followChain } from "../domain/audit.ts";
import { listAudit, listChainHeads, type ChainHead } from "../store/audit.ts";
import type { Tx } from "../store/sql.ts";
import type { Behalf } from "../store/store.ts";
import type { Fleet } from "./fleet.ts";

const PAGE = 500;

export interface AuditVerdict {
  readonly ok: boolean;
  readonly chains: number;
  readonly entries: number;
  /** The first broken entry of each broken chain. */
  readonly broken: readonly { readonly taskId: string; readonly seq: number; readonly why: string }[];
}

/** What `on` may see, or one task's chain. Reads page by page, so a year of entries does not fill the memory. */
export async function verifyAudit(fleet: Fleet, on: Behalf, taskId?: string): Promise<AuditVerdict> {
  return fleet.store.transaction(on, async (tx) => {
    const broken: AuditVerdict["broken"][number][] = [];
    let chains = 0;
    let entries = 0;
    for await (const head of taskId ? headOf(tx, taskId) : allHeads(tx)) {
      const verdict = await verifyChain(tx, head, fleet.sha256);
      chains += 1;
      entries += verdict.entries;
      if (verdict.broken) broken.push({ taskId: head.chain.replace(/^\w+:/, ""), ...verdict.broken });
    }
    return { ok: broken.length === 0, chains, entries, broken };
  });
}

async function* allHeads(tx: Tx): AsyncGenerator<ChainHead> {
  let after = "";
  for (;;) {
    const page = await listChainHeads(tx, after, PAGE);
    yield* page;
    const last = page.at(-1);
    if (!last || page.length < PAGE) return;
    after = last.chain;
  }
}

async function* headOf(tx: Tx, taskId: string): AsyncGenerator<ChainHead> {
  const chain = `task:${taskId}`;
  yield* (await listChainHeads(tx, "", PAGE, chain)).filter((head) => head.chain === chain);
}

async function verifyChain(tx: Tx, head: ChainHead, sha256: (text: string) => string) {
  let state = { seq: 0, hash: "" };
  for (;;) {
    const page = await listAudit(tx, head.chain, { after: state.seq, upTo: head.seq, limit: PAGE });
    const followed = followChain(page, state, sha256);
    state = { seq: followed.seq, hash: followed.hash };
    if (followed.broken) return { entries: state.seq, broken: followed.broken };
    if (page.length < PAGE) break;
  }
  const whole = state.seq === head.seq && state.hash === head.head;
  const broken = whole
    ? undefined
    : { seq: state.seq + 1, why: `the chain ends at ${state.seq}, its head says ${head.seq}` };
  return { entries: state.seq, broken };
}

/** This host's disk for gc: what lies there, and taking it away. Who it belongs to, and whether it goes, is decided elsewhere. */
import type { GcKind } from "../../domain/gc/gc.ts";
import { scanLeftovers, checkReachability, deleteBranchAt, gcRoot, type Leftovers } from "./leftovers.ts";
import { takeBranchSnapshot, type Snapshot } from "../workspace/snapshot.ts";
import { deleteQuarantined, listQuarantined, quarantine, quarantinePath, measureSizes } from "./trash.ts";
import type { AgentsContext } from "../workspace/workspace.ts";

export interface GcDisk {
  /** What of agents, and of runs, lies on this host. */
  scan(): Promise<Leftovers>;
  /** Is a commit elsewhere too: in the base branch, or anywhere on the forge? */
  checkReachability(
    mirror: { readonly path: string },
    head: string,
    base?: string,
  ): Promise<{ merged: boolean; onForge: boolean }>;
  /** Saves a branch in a bundle when nobody else has its commits; then removes it, unless it moved meanwhile. */
  removeBranch(request: BranchRemoval): Promise<{ readonly removed: boolean; readonly snapshot: Snapshot | null }>;
  /** Renames to the trash of its root; false when it is gone already. A mirror only while `still` says so, under its lock. */
  quarantine(ask: Quarantined & { readonly still?: () => Promise<boolean> }): Promise<boolean>;
  quarantinePath(ask: Omit<Quarantined, "path">): string;
  deleteQuarantined(ask: Omit<Quarantined, "path">): Promise<void>;
  /** Everything in the trash of this host that has the name of a mark. */
  listQuarantined(): Promise<
    readonly { readonly kind: Quarantined["kind"]; readonly id: string; readonly since: Date }[]
  >;
  /** Bytes on the disk; what cannot be measured is left out. */
  measureSizes(paths: readonly string[]): Promise<Map<string, number>>;
}

export interface BranchRemoval {
  readonly taskId: string;
  readonly mirrorPath: string;
  readonly url: string;
  readonly branch: string;
  readonly head: string;
  readonly saveFirst: boolean;
}

/** What gc puts aside: `id` is that of its mark. */
export interface Quarantined {
  readonly id: string;
  readonly kind: Exclude<GcKind, "branch">;
  readonly path: string;
}

const QUARANTINED_KINDS: readonly Quarantined["kind"][] = [
  "run",
  "workspace",
  "snapshot",
  "mirror",
  "socket",
  "attempt",
];

/** `socket` is that of the tmux server in use. */
export function openGcDisk(context: AgentsContext, socket: string): GcDisk {
  const { home } = context;
  return {
    scan: () => scanLeftovers(context, socket),
    checkReachability: (mirror, head, base) => checkReachability(mirror, head, base),
    removeBranch: (ask) => removeBranch(context, ask),
    async quarantine({ id, kind, path, still }) {
      const move = async () => (!still || (await still())) && quarantine(gcRoot(home, kind), path, id);
      return kind === "mirror" ? context.mirrors.runExclusive({ url: "", path }, move) : move();
    },
    quarantinePath: ({ id, kind }) => quarantinePath(gcRoot(home, kind), id),
    deleteQuarantined: ({ id, kind }) => deleteQuarantined(gcRoot(home, kind), id),
    listQuarantined: async () => {
      const found = await Promise.all(
        QUARANTINED_KINDS.map(async (kind) => ({ kind, quarantined: await listQuarantined(gcRoot(home, kind)) })),
      );
      return found.flatMap(({ kind, quarantined }) => quarantined.map(({ id, since }) => ({ kind, id, since })));
    },
    measureSizes,
  };
}

async function removeBranch(context: AgentsContext, ask: BranchRemoval) {
  const mirror = { url: ask.url, path: ask.mirrorPath };
  const snapshot = ask.saveFirst ? await takeBranchSnapshot({ ...ask, home: context.home, mirror }) : null;
  const removed = await context.mirrors.runExclusive(mirror, () => deleteBranchAt(mirror.path, ask.branch, ask.head));
  return { removed, snapshot };
}

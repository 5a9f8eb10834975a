/** gc's access to this host's disk: scanning it and removing items. What is removed is decided elsewhere. */
import type { GcKind } from "../../domain/gc/gc.ts";
import { scanLeftovers, checkReachability, deleteBranchAt, gcRoot, type Leftovers } from "./leftovers.ts";
import { takeBranchSnapshot, type Snapshot } from "../workspace/snapshot.ts";
import { deleteQuarantined, listQuarantined, quarantine, quarantinePath, measureSizes } from "./trash.ts";
import type { AgentsContext } from "../workspace/workspace.ts";

export interface GcDisk {
  /** Lists the files of agents and runs on this host. */
  scan(): Promise<Leftovers>;
  /** Tells whether a commit also exists in the base branch, or anywhere on the forge. */
  checkReachability(
    mirror: { readonly path: string },
    head: string,
    base?: string,
  ): Promise<{ merged: boolean; onForge: boolean }>;
  /** Saves the branch in a bundle if requested, then removes it unless it has moved since the decision. */
  removeBranch(request: BranchRemoval): Promise<{ readonly removed: boolean; readonly snapshot: Snapshot | null }>;
  /** Renames the item into the trash of its root; false when it no longer exists. For a mirror, `still` is checked under the mirror's lock. */
  quarantine(request: Quarantined & { readonly still?: () => Promise<boolean> }): Promise<boolean>;
  quarantinePath(request: Omit<Quarantined, "path">): string;
  deleteQuarantined(request: Omit<Quarantined, "path">): Promise<void>;
  /** Lists everything in this host's trash that gc quarantined. */
  listQuarantined(): Promise<
    readonly { readonly kind: Quarantined["kind"]; readonly id: string; readonly since: Date }[]
  >;
  /** Measures bytes on the disk; what cannot be measured is left out. */
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

/** An item that gc quarantines: `id` is the id of its mark, the row that records it. */
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

/** `socket` is the path of the default tmux server's socket. */
export function openGcDisk(context: AgentsContext, socket: string): GcDisk {
  const { home } = context;
  return {
    scan: () => scanLeftovers(context, socket),
    checkReachability: (mirror, head, base) => checkReachability(mirror, head, base),
    removeBranch: (request) => removeBranch(context, request),
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

async function removeBranch(context: AgentsContext, request: BranchRemoval) {
  const { url, mirrorPath, branch, head, saveFirst } = request;
  const mirror = { url, path: mirrorPath };
  const snapshot = saveFirst ? await takeBranchSnapshot({ ...request, home: context.home, mirror }) : null;
  const removed = await context.mirrors.runExclusive(mirror, () => deleteBranchAt(mirrorPath, branch, head));
  return { removed, snapshot };
}

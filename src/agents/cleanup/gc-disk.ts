/** This host's disk for gc: what lies there, and taking it away. Who it belongs to, and whether it goes, is decided elsewhere. */
import type { GcKind } from "../../domain/gc/gc.ts";
import { lookAtRemains, reachOf, dropBranch, rootOf, type Remains } from "./leftovers.ts";
import { takeBranchSnapshot, type Snapshot } from "../workspace/snapshot.ts";
import { deleteAside, listAside, putAside, quarantineOf, sizesOf } from "./trash.ts";
import type { Place } from "../workspace/workspace.ts";

export interface Disk {
  /** What of agents, and of runs, lies on this host. */
  look(): Promise<Remains>;
  /** Is a commit elsewhere too: in the base branch, or anywhere on the forge? */
  reachOf(
    mirror: { readonly path: string },
    head: string,
    base?: string,
  ): Promise<{ merged: boolean; onForge: boolean }>;
  /** Saves a branch in a bundle when nobody else has its commits; then removes it, unless it moved meanwhile. */
  removeBranch(ask: BranchRemoval): Promise<{ readonly removed: boolean; readonly snapshot: Snapshot | null }>;
  /** Renames to the trash of its root; false when it is gone already. A mirror only while `still` says so, under its lock. */
  putAside(ask: Aside & { readonly still?: () => Promise<boolean> }): Promise<boolean>;
  quarantineOf(ask: Omit<Aside, "path">): string;
  deleteAside(ask: Omit<Aside, "path">): Promise<void>;
  /** Everything in the trash of this host that has the name of a mark. */
  listAside(): Promise<readonly { readonly kind: Aside["kind"]; readonly id: string; readonly since: Date }[]>;
  /** Bytes on the disk; what cannot be measured is left out. */
  sizesOf(paths: readonly string[]): Promise<Map<string, number>>;
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
export interface Aside {
  readonly id: string;
  readonly kind: Exclude<GcKind, "branch">;
  readonly path: string;
}

const ROOTS: readonly Aside["kind"][] = ["run", "workspace", "snapshot", "mirror", "socket", "attempt"];

/** `socket` is that of the tmux server in use. */
export function openDisk(place: Place, socket: string): Disk {
  const { home } = place;
  return {
    look: () => lookAtRemains(place, socket),
    reachOf: (mirror, head, base) => reachOf(mirror, head, base),
    removeBranch: (ask) => removeBranch(place, ask),
    async putAside({ id, kind, path, still }) {
      const move = async () => (!still || (await still())) && putAside(rootOf(home, kind), path, id);
      return kind === "mirror" ? place.mirrors.exclusively({ url: "", path }, move) : move();
    },
    quarantineOf: ({ id, kind }) => quarantineOf(rootOf(home, kind), id),
    deleteAside: ({ id, kind }) => deleteAside(rootOf(home, kind), id),
    listAside: async () => {
      const found = await Promise.all(
        ROOTS.map(async (kind) => ({ kind, aside: await listAside(rootOf(home, kind)) })),
      );
      return found.flatMap(({ kind, aside }) => aside.map(({ id, since }) => ({ kind, id, since })));
    },
    sizesOf,
  };
}

async function removeBranch(place: Place, ask: BranchRemoval) {
  const mirror = { url: ask.url, path: ask.mirrorPath };
  const snapshot = ask.saveFirst ? await takeBranchSnapshot({ ...ask, home: place.home, mirror }) : null;
  const removed = await place.mirrors.exclusively(mirror, () => dropBranch(mirror.path, ask.branch, ask.head));
  return { removed, snapshot };
}

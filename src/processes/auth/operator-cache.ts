/** The most that operators may claim, read again and again while a web process runs on. */
import { codeOf, FleetError } from "../../domain/errors.ts";
import { heldTo, type Operator, type Standing } from "../../domain/operator.ts";
import { findStanding } from "../../store/operators.ts";
import { WORKER, type Store } from "../../store/store.ts";

export interface Standings {
  /**
   * Who asks, with no more than the house has written down of them. `now`: read this moment, for what changes something.
   * Throws "unauthenticated" when the house knows no such operator, or lets it in no longer.
   */
  readonly hold: (claimed: Operator, how: { readonly now: boolean }) => Promise<Operator>;
}

/** For what only looks, it may be this old. */
const LASTING_MS = 2_000;
/** Without the database it is believed this long, and then not. */
const BELIEVED_MS = 3_600_000;
const MOST = 10_000;

interface Read {
  readonly standing: Standing | undefined;
  readonly at: number;
}

export function openStandings(store: Store): Standings {
  const known = new Map<string, Read>();
  const reading = new Map<string, Promise<Read>>();

  async function read(id: string): Promise<Read> {
    const at = performance.now();
    const standing = await store.transaction(WORKER, (tx) => findStanding(tx, id));
    if (known.size >= MOST) known.clear();
    const found = { standing, at };
    // A slow look must not put back what a later one saw change.
    if ((known.get(id)?.at ?? -Infinity) < at) known.set(id, found);
    return found;
  }

  /** One look for all who ask meanwhile. */
  function soon(id: string): Promise<Read> {
    const under = reading.get(id);
    if (under) return under;
    const look = read(id).finally(() => reading.delete(id));
    reading.set(id, look);
    return look;
  }

  async function lately(id: string): Promise<Read> {
    const last = known.get(id);
    const age = performance.now() - (last?.at ?? -Infinity);
    if (last && age < LASTING_MS) return last;
    try {
      return await soon(id);
    } catch (error) {
      if (last && age < BELIEVED_MS && codeOf(error) === "database-unavailable") return last;
      throw error;
    }
  }

  return {
    async hold(claimed, { now }) {
      const { standing } = await (now ? read(claimed.id) : lately(claimed.id));
      const held = heldTo(claimed, standing);
      if (held) return held;
      throw new FleetError(
        "unauthenticated",
        `Operator ${claimed.id} of ${claimed.tenantId} is not known here, or is disabled. Ask an admin: fleet operators`,
      );
    },
  };
}

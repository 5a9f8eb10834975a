/** Removes what dead runs left on this host: processes and working copies. They are found by their names, so that none is missed. */
import { removeWorkingCopy, sweepWorkingCopies } from "../git/working-copy.ts";
import { workingCopyName } from "./execute.ts";

const RUN_COPY = /^(?:order|ci)-(?<id>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

/** Ends the run's processes and removes its working copy. */
export async function removeLeftovers(home: string, runId: string): Promise<void> {
  await removeWorkingCopy(home, workingCopyName(runId));
}

/** Removes the working copies of ended runs. `findOpen` returns which of the given runs are still open. Other folders stay. */
export async function sweepLeftovers(
  home: string,
  findOpen: (runIds: readonly string[]) => Promise<readonly string[]>,
): Promise<string[]> {
  return sweepWorkingCopies(home, async (found) => {
    const ids = new Map(found.map((name) => [name, RUN_COPY.exec(name)?.groups?.["id"]]));
    const known = [...ids.values()].filter((id) => id !== undefined);
    const alive = new Set(known.length > 0 ? await findOpen(known) : []);
    return new Set(
      found.filter((name) => {
        const id = ids.get(name);
        return id === undefined || alive.has(id);
      }),
    );
  });
}

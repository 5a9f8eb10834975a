/** The forges there are, and which of them a repository belongs to. */
import { FleetError } from "../domain/errors.ts";
import type { Forge } from "./forge.ts";
import { openLocalForge } from "./local.ts";

export interface ForgeType {
  /** Whether the repository at this address is one of this forge's. */
  hosts(repository: string): boolean;
  open(options: ForgeOptions): Forge;
}

export interface ForgeOptions {
  /** FLEET_HOME. */
  readonly home: string;
}

export interface Forges {
  /** The forge of a repository, by its address. */
  of(repository: string): Forge;
}

/** The first that hosts an address is its forge; the local one takes every repository that git can read. */
export const FORGES: readonly ForgeType[] = [{ hosts: () => true, open: ({ home }) => openLocalForge(home) }];

export function openForges(options: ForgeOptions, types: readonly ForgeType[] = FORGES): Forges {
  const opened = types.map((type) => ({ type, forge: type.open(options) }));
  return {
    of(repository) {
      const found = opened.find(({ type }) => type.hosts(repository));
      if (!found) throw new FleetError("not-a-repository", `No forge hosts ${repository}.`);
      return found.forge;
    },
  };
}

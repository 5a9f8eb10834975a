/** What is masked before it is kept or shown: shapes of secrets, and the very values that agents are handed, in every form. */
import { redactor, type Redactor } from "../domain/text/redact.ts";
import type { Fleet } from "./fleet.ts";

const KNOWN = new WeakMap<Fleet["secrets"], Redactor>();

/** Made once: an agent's secrets do not change while the process that hands them out lives. */
export function masksOf({ secrets }: Pick<Fleet, "secrets">): Redactor {
  const known = KNOWN.get(secrets);
  if (known) return known;
  const masks = redactor({ values: secrets.handedOut() });
  KNOWN.set(secrets, masks);
  return masks;
}

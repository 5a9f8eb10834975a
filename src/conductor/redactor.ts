/** What is masked before it is kept or shown: shapes of secrets, and the very values that agents are handed, in every form. */
import { createRedactor, type Redactor } from "../domain/text/redact.ts";
import type { Fleet } from "./fleet.ts";

const REDACTORS = new WeakMap<Fleet["secrets"], Redactor>();

/** Made once: an agent's secrets do not change while the process that hands them out lives. */
export function redactorOf({ secrets }: Pick<Fleet, "secrets">): Redactor {
  const cached = REDACTORS.get(secrets);
  if (cached) return cached;
  const created = createRedactor({ values: secrets.allSecretValues() });
  REDACTORS.set(secrets, created);
  return created;
}

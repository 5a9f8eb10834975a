/** Masks secrets before text is stored or shown: by their shapes, and by the values that agents are given, in every encoding. */
import { createRedactor, type Redactor } from "../domain/text/redact.ts";
import type { Fleet } from "./fleet.ts";

const REDACTORS = new WeakMap<Fleet["secrets"], Redactor>();

/** Created once per process: the secrets do not change while the process that gives them to agents lives. */
export function redactorOf({ secrets }: Pick<Fleet, "secrets">): Redactor {
  const cached = REDACTORS.get(secrets);
  if (cached) return cached;
  const created = createRedactor({ values: secrets.allSecretValues() });
  REDACTORS.set(secrets, created);
  return created;
}

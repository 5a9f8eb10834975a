/** What is written down about getting in. Links and sessions themselves are the web process's affair: it holds the keys. */
import type { Operator } from "../../domain/operator.ts";
import { auditBy } from "../../store/operators.ts";
import type { Fleet } from "../fleet.ts";

/** Before the link is made: one that nobody has heard of must not exist. */
export async function auditLoginLink(fleet: Fleet, by: Operator): Promise<void> {
  await fleet.store.as(by, (tx) => auditBy(tx, by, "login.linked", {}));
}

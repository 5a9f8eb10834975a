/** Branch names: which ones a user may choose, and how Fleetwright generates its own. */
import { shortId } from "./task.ts";

const BRANCH_PATTERN =
  /^(?!.*(?:\.\.|\/\/|@\{|\.lock(?:\/|$)))[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?(?:\/[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)*$/;
const RESERVED = new Set(["HEAD", "FETCH_HEAD", "ORIG_HEAD", "MERGE_HEAD"]);
const MAX_BYTES = 128;

/** The rule is stricter than git's own, because a plain pattern accepts names that git refuses. */
export function isBranchName(name: string): boolean {
  if (name.length > MAX_BYTES || RESERVED.has(name)) return false;
  if (name.startsWith("refs/") || name.startsWith("heads/")) return false;
  return BRANCH_PATTERN.test(name);
}

/** Generates `fleet/<short id>-<slug>`: the id makes it unique, the slug (at most 40 characters) readable. */
export function branchFor(taskId: string, title: string): string {
  const slug = title
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .slice(0, 40)
    .replaceAll(/^-+|-+$/g, "");
  return `fleet/${shortId(taskId)}-${slug || "task"}`;
}

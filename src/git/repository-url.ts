/** The address of a repository: which ones are accepted, and how they appear in folder names and messages. */
import { createHash } from "node:crypto";
import { isAbsolute, normalize } from "node:path";
import { FleetError } from "../domain/errors.ts";
import { redactUrl } from "../domain/text/redact-url.ts";

export interface RepositoryAddress {
  readonly kind: "path" | "url";
  /** In one spelling, as git gets it. */
  readonly address: string;
}

/** `git@host:owner/name.git`; a path never matches, because it starts with a slash. */
const SCP_LIKE = /^[\w.][\w.-]*@[\w.][\w.-]*:[^\s:-]\S*$/;
const URL_LIKE = /^(?:https|ssh|file):\/\/\S+$/;
/** A user, host or path that ssh would take for an option. Git refuses these itself, but hours later. */
const OPTION_LIKE = /^[a-z]+:\/\/(?:-|[^/]*@-|[^/]*\/-)/;
const CREDENTIALS = /^https:\/\/[^/]*@/;

/** Refuses what git would take for an option or a command. */
export function parseRepositoryAddress(given: string): RepositoryAddress {
  if (/\p{Cc}/u.test(given)) throw addressRefused(given, "it contains control characters");
  if (isAbsolute(given)) return { kind: "path", address: normalize(given).replace(/(?<=.)\/+$/, "") };
  const reason = SCP_LIKE.test(given) ? undefined : findUrlProblem(given);
  if (reason !== undefined) throw addressRefused(given, reason);
  return { kind: "url", address: given };
}

function findUrlProblem(given: string): string | undefined {
  if (!/^[a-z][a-z0-9+.-]*:/i.test(given)) {
    return "it is no absolute path, and Fleetwright does not run in your working directory";
  }
  if (!URL_LIKE.test(given) || !URL.canParse(given)) return "it is no path, and no URL with https, ssh or file";
  if (OPTION_LIKE.test(given)) return "a user, host or path may not begin with a dash";
  return CREDENTIALS.test(given) ? "it holds credentials, which would be stored and shown; leave them out" : undefined;
}

/** A readable name; not unique by itself. */
export function repositorySlug(address: string): string {
  const lastPart = address
    .replace(/(\/?\.git)?\/*$/, "")
    .split(/[/:]/)
    .at(-1);
  const slug = (lastPart ?? "")
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .slice(0, 40)
    .replaceAll(/^-+|-+$/g, "");
  return slug || "repository";
}

/** The name of the folder that belongs to this address: readable, and different for every address. */
export function repositoryFolder(address: string): string {
  return `${repositorySlug(address)}-${createHash("sha256").update(address).digest("hex").slice(0, 12)}`;
}

function addressRefused(address: string, reason: string): FleetError {
  return new FleetError(
    "not-a-repository",
    `The repository ${JSON.stringify(redactUrl(address))} is refused: ${reason}.`,
  );
}

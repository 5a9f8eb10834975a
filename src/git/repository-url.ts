/** Where a repository is: which addresses are accepted, how they are named on disk and in messages. */
import { createHash } from "node:crypto";
import { isAbsolute, normalize } from "node:path";
import { FleetError } from "../domain/errors.ts";
import { redactUrl } from "../domain/text/redact-url.ts";

const PROTOCOLS = new Set(["https:", "ssh:", "file:"]);
/** `git@host:owner/name.git`; a path never fits, because it starts with a slash. */
const SCP_LIKE = /^[\w.][\w.-]*@[\w.][\w.-]*:[^\s:-][^\s]*$/;

/** The address as git gets it, in one spelling; refuses what git would take for an option or a command. */
export function normalizeRepositoryUrl(address: string): string {
  if (/[\p{Cc}]/u.test(address)) throw repositoryRefused(address, "it holds control characters");
  if (isAbsolute(address)) return normalize(address).replace(/(?<=.)\/+$/, "");
  if (SCP_LIKE.test(address)) return address;
  if (!URL.canParse(address))
    throw repositoryRefused(address, "it must be an absolute path, or an https, ssh or file address");
  const url = new URL(address);
  if (!PROTOCOLS.has(url.protocol)) throw repositoryRefused(address, `${url.protocol.slice(0, -1)} is not allowed`);
  if (/^-|^[^/]*@-/.test(address.slice(url.protocol.length).replace(/^\/\//, ""))) {
    throw repositoryRefused(address, "a user or host may not begin with a dash");
  }
  return address;
}

/** The folder's name: readable, and different for every address. */
export function repositorySlug(address: string): string {
  const url = normalizeRepositoryUrl(address);
  const name =
    url
      .replace(/(\/?\.git)?\/*$/, "")
      .split(/[/:]/)
      .at(-1) ?? "";
  const slug = name
    .replaceAll(/[^A-Za-z0-9._-]+/g, "-")
    .replaceAll(/^[.-]+|[.-]+$/g, "")
    .slice(0, 40);
  return `${slug || "repository"}-${createHash("sha256").update(url).digest("hex").slice(0, 12)}`;
}

function repositoryRefused(address: string, why: string): FleetError {
  return new FleetError(
    "workspace-refused",
    `The repository ${JSON.stringify(redactUrl(address))} is refused: ${why}.`,
  );
}

/** Whether a version fits the range that a file asks for: npm's ranges, and Python's spellings, which are translated to them. */
import semver from "semver";

/** Undefined when the range, or the version, is written in a way that is not understood. */
export function satisfies(version: string, range: string): boolean | undefined {
  const found = semver.coerce(version);
  const alternatives = range.split("||").map((alternative) => translateRange(alternative));
  if (!found || alternatives.includes(undefined)) return undefined;
  const fits = (wanted: string) => semver.satisfies(found, wanted);
  return alternatives.some((one) => one && fits(one.wanted) && !one.excluded.some(fits));
}

/** For a version that a file names: "18" means the newest 18, because that is what gets installed. */
export function highestVersion(version: string): string | undefined {
  const [major, minor = NEWEST, patch = NEWEST] = /\d+(?:\.\d+){0,2}/.exec(version)?.[0].split(".") ?? [];
  return major === undefined ? undefined : `${major}.${minor}.${patch}`;
}

/** No real version reaches it. */
const NEWEST = "1000000";

/** Python separates by commas, excludes with `!=`, and writes "compatible with 1.2" as `~=1.2`, "equal" as `==`. */
function translateRange(text: string): { readonly wanted: string; readonly excluded: readonly string[] } | undefined {
  const excluded: string[] = [];
  const wanted = text
    .replaceAll(",", " ")
    .replaceAll(/!=\s*(?<version>\S+)/g, (_, version: string) => {
      excluded.push(version);
      return " ";
    })
    .replaceAll(/~=\s*(?<major>\d+)\.(?<minor>\d+)(?![\d.])/g, ">=$<major>.$<minor> $<major>.x")
    .replaceAll("~=", "~")
    .replaceAll(/={2,3}/g, "=")
    .replace(/^\s*latest\s*$/, "*");
  return [wanted, ...excluded].every((one) => semver.validRange(one) !== null) ? { wanted, excluded } : undefined;
}

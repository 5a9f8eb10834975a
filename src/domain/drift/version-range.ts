/** Does a version fit what a file asks for? The spellings of npm, Python and plain version files; what it cannot read it says so. */

type VersionTuple = readonly [major: number, minor: number, patch: number];
type VersionTest = (version: VersionTuple) => boolean;

/** Of "v22.1.0", "Python 3.11.2", "go version go1.22.1 linux/amd64": the numbers; undefined when there are none. */
export function extractVersion(text: string): string | undefined {
  return /\d+(?:\.\d+){0,3}/.exec(text)?.[0];
}

/** Undefined: the range, or the version, is written in a way that is not understood. */
export function satisfies(version: string, range: string): boolean | undefined {
  const numbers = extractVersion(version);
  const alternatives = range.split("||").map((way) => parseRange(way));
  if (numbers === undefined || alternatives.includes(undefined)) return undefined;
  const found = toVersionTuple(numbers, 0);
  return alternatives.some((tests) => tests?.every((test) => test(found)));
}

/** For a version a file names: "18" means the newest 18, as an installer would take. */
export function highestVersion(version: string): string | undefined {
  const numbers = extractVersion(version);
  return numbers === undefined ? undefined : toVersionTuple(numbers, NEWEST).join(".");
}

/** No real version reaches it, and it stays exact in a number. */
const NEWEST = 1_000_000;
const COMPARATOR = /^(?<op>[<>]=?|={1,3}|~=|!=|\^|~>?)?\s*v?(?<version>\d+(?:\.(?:\d+|[xX*])){0,3})(?:[-+][\w.+-]*)?$/;

function parseRange(way: string): VersionTest[] | undefined {
  const text = way
    .trim()
    .replace(/^v?(?<low>[\d.]+)\s+-\s+v?(?<high>[\d.]+)$/, ">=$<low> <=$<high>")
    .replaceAll(/(?<=[<>=~^!])\s+/g, "");
  const tests: VersionTest[] = [];
  for (const part of text.split(/[\s,]+/).filter(Boolean)) {
    const test = parseComparator(part);
    if (!test) return undefined;
    tests.push(test);
  }
  return tests;
}

function parseComparator(part: string): VersionTest | undefined {
  if (/^(?:=*\s*)?[xX*]$/.test(part) || part === "latest") return () => true;
  const { op = "", version = "" } = COMPARATOR.exec(part)?.groups ?? {};
  if (version === "") return undefined;
  const given = version.split(".").filter((number) => /^\d+$/.test(number));
  const low = toVersionTuple(given.join("."), 0);
  const high = toVersionTuple(given.join("."), NEWEST);
  return (OPERATORS[op] ?? between)(low, high, given);
}

type Comparator = (low: VersionTuple, high: VersionTuple, given: readonly string[]) => VersionTest;

/** "1.2" begins at 1.2.0 (low) and ends with the last 1.2 there is (high). Anything else means exactly this: from low to high. */
const OPERATORS: Readonly<Record<string, Comparator>> = {
  ">=": (low) => (found) => compare(found, low) >= 0,
  ">": (_low, high) => (found) => compare(found, high) > 0,
  "<": (low) => (found) => compare(found, low) < 0,
  "<=": (_low, high) => (found) => compare(found, high) <= 0,
  "!=": (low, high) => (found) => compare(found, low) < 0 || compare(found, high) > 0,
  "^": (low) => between(low, caret(low)),
  "~": (low, _high, given) => between(low, upTo(given, Math.min(2, given.length))),
  "~>": (low, _high, given) => between(low, upTo(given, Math.min(2, given.length))),
  "~=": (low, _high, given) => between(low, upTo(given, Math.max(1, given.length - 1))),
};

function between(low: VersionTuple, high: VersionTuple): VersionTest {
  return (found) => compare(found, low) >= 0 && compare(found, high) <= 0;
}

/** ^1.2.3: the leftmost number that is not zero stays. */
function caret([major, minor, patch]: VersionTuple): VersionTuple {
  if (major > 0) return [major, NEWEST, NEWEST];
  return minor > 0 ? [0, minor, NEWEST] : [0, 0, patch];
}

/** The first `kept` numbers stay, the others are free. */
function upTo(given: readonly string[], kept: number): VersionTuple {
  return toVersionTuple(given.slice(0, kept).join("."), NEWEST);
}

function toVersionTuple(version: string, missing: number): VersionTuple {
  const [major = missing, minor = missing, patch = missing] = version.split(".").map(Number);
  return [major, minor, patch];
}

function compare(a: VersionTuple, b: VersionTuple): number {
  for (const [at, number] of a.entries()) {
    const other = b[at] ?? 0;
    if (number !== other) return number < other ? -1 : 1;
  }
  return 0;
}

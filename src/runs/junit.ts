/** Parses JUnit files. They come from a product and are not trusted, so document types and custom entities are refused, and sizes are limited. */
import sax from "sax";
import type { TestTotals } from "../domain/orders/run.ts";
import { toStorable } from "../domain/text/untrusted.ts";

const MAX_BYTES = 16 * 1_024 * 1_024;
const MAX_TESTS = 200_000;
const MAX_NAMES = 50;
const MAX_NAME_BYTES = 300;
/** `strictEntities` allows only the five entities of XML itself. It is missing from the library's types. */
const STRICT = { position: false, strictEntities: true };
const ROOTS: ReadonlySet<string> = new Set(["testsuites", "testsuite"]);

interface TestCase {
  readonly name: string;
  readonly seconds: number;
  outcome: "passed" | "failed" | "errors" | "skipped";
}

/** Returns undefined when it is not a valid JUnit file or too large. The tests are counted here, because the totals in the file cannot be trusted. */
export function readJunit(file: string, xml: string): TestTotals | undefined {
  if (xml.length > MAX_BYTES || /<!(?:DOCTYPE|ENTITY)/i.test(xml)) return undefined;
  const tests: TestCase[] = [];
  let root: string | undefined;
  let open: TestCase | undefined;
  const parser = sax.parser(true, STRICT);
  parser.onopentag = ({ name, attributes }) => {
    root ??= name;
    if (name === "testcase" && tests.length < MAX_TESTS) {
      open = parseTestCase(attributes);
      tests.push(open);
    } else if (open && name === "failure") open.outcome = "failed";
    else if (open && name === "error") open.outcome = "errors";
    else if (open && name === "skipped") open.outcome = "skipped";
  };
  parser.onclosetag = (name) => {
    if (name === "testcase") open = undefined;
  };
  let broken = false;
  // oxlint-disable-next-line unicorn/prefer-add-event-listener -- sax has no other API
  parser.onerror = () => {
    broken = true;
  };
  try {
    parser.write(xml).close();
  } catch {
    return undefined;
  }
  return !broken && root !== undefined && ROOTS.has(root) ? computeTotals(file, tests) : undefined;
}

/** Adds the totals of several files. */
export function addTotals(all: readonly TestTotals[]): TestTotals | undefined {
  const [first, ...rest] = all;
  if (!first) return undefined;
  let sum = first;
  for (const next of rest) {
    sum = {
      total: sum.total + next.total,
      passed: sum.passed + next.passed,
      failed: sum.failed + next.failed,
      errors: sum.errors + next.errors,
      skipped: sum.skipped + next.skipped,
      seconds: sum.seconds + next.seconds,
      failedNames: [...sum.failedNames, ...next.failedNames].slice(0, MAX_NAMES),
      files: [...sum.files, ...next.files],
    };
  }
  return sum;
}

type Attributes = Readonly<Record<string, string | sax.QualifiedAttribute>>;

function parseTestCase(attributes: Attributes): TestCase {
  const text = (name: string) => {
    const value = attributes[name];
    return typeof value === "string" ? value : "";
  };
  const name = [text("classname"), text("name")].filter(Boolean).join(" › ");
  const seconds = Number(text("time"));
  return {
    name: toStorable(name || "(unnamed)", MAX_NAME_BYTES),
    seconds: Number.isFinite(seconds) && seconds > 0 ? seconds : 0,
    outcome: "passed",
  };
}

function computeTotals(file: string, tests: readonly TestCase[]): TestTotals {
  const count = (outcome: TestCase["outcome"]) => tests.filter((test) => test.outcome === outcome).length;
  const failing = tests.filter(({ outcome }) => outcome === "failed" || outcome === "errors");
  return {
    total: tests.length,
    passed: count("passed"),
    failed: count("failed"),
    errors: count("errors"),
    skipped: count("skipped"),
    seconds: Math.round(tests.reduce((sum, { seconds }) => sum + seconds, 0) * 1_000) / 1_000,
    failedNames: failing.slice(0, MAX_NAMES).map(({ name }) => name),
    files: [file],
  };
}

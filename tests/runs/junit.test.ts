/** JUnit files: the tests are counted, and nothing else in them is trusted. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { addTotals, readJunit } from "../../src/runs/junit.ts";

const suite = (inner: string) => `<?xml version="1.0"?><testsuites tests="99">${inner}</testsuites>`;

test("tests are counted, nested suites too, and failed ones are named", () => {
  const read = readJunit(
    "junit.xml",
    suite(`<testsuite><testsuite><testcase classname="a.b" name="one" time="1.25"/></testsuite>
      <testcase name="two"><failure>x</failure></testcase><testcase name="three &amp; four"><error/></testcase>
      <testcase name="five"><skipped/></testcase><testcase time="-3"/></testsuite>`),
  );

  expect(read).toEqual({
    total: 5,
    passed: 2,
    failed: 1,
    errors: 1,
    skipped: 1,
    seconds: 1.25,
    failedNames: ["two", "three & four"],
    files: ["junit.xml"],
  });
});

test.each([
  ["another document", "<html><testcase/></html>"],
  ["nothing", ""],
  ["broken", "<testsuite><testcase>"],
  ["entities of its own", `<!DOCTYPE x [<!ENTITY a "aaaa">]><testsuite><testcase name="&a;"/></testsuite>`],
  ["entities of HTML", `<testsuite><testcase name="&nbsp;"/></testsuite>`],
])("%s is not a JUnit file", (_, xml) => {
  expect(readJunit("x.xml", xml)).toBeUndefined();
});

test("any bytes give a result without an exception", () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      expect(readJunit("x.xml", suite(text))?.total ?? 0).toBe(0);
    }),
  );
});

test("a very long name is cut, and the number of names is bounded", () => {
  const one = `<testcase name="${"x".repeat(5_000)}"><failure/></testcase>`;

  const read = readJunit("x.xml", suite(`<testsuite>${one.repeat(80)}</testsuite>`));

  expect(read?.failed).toBe(80);
  expect(read?.failedNames).toHaveLength(50);
  expect(read?.failedNames[0]?.length).toBeLessThanOrEqual(300);
  expect(read && addTotals([read, read])).toMatchObject({ total: 160, failed: 160, files: ["x.xml", "x.xml"] });
  expect(addTotals([])).toBeUndefined();
});

/** Ranges as npm, Python and version files write them; a range that is not understood is reported as such. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { highestVersion, satisfies } from "../../../src/domain/drift/version-range.ts";

test.each([
  ["v22.1.0", ">=20.19", true],
  ["v20.18.9", ">=20.19", false],
  ["v20.19.0", "^20.19.0 || >=22.12.0", true],
  ["v21.0.0", "^20.19.0 || >=22.12.0", false],
  ["18.20.4", "18", true],
  ["18.20.4", "18.x", true],
  ["20.0.0", ">= 18 < 20", false],
  ["19.9.9", ">= 18 < 20", true],
  ["20.0.1", "18 - 20", true],
  ["1.3.0", "~1.2.3", false],
  ["0.2.9", "^0.2.3", true],
  ["0.3.0", "^0.2.3", false],
  ["3.0.0", ">2", true],
  ["2.9.0", ">2", false],
  ["2.9.0", "<=2", true],
  ["Python 3.11.2", ">=3.9,<4", true],
  ["Python 3.11.2", "~=3.9", true],
  ["Python 3.11.2", "~=3.9.1", false],
  ["Python 3.11.2", "==3.11.*", true],
  ["Python 3.11.2", ">=3.9, !=3.11.2", false],
  ["go version go1.22.1 linux/amd64", ">=1.22", true],
  ["v22.0.0", "*", true],
  ["v22.0.0", "lts/iron", undefined],
  ["unknown", ">=1", undefined],
])("%s for %s: %s", (version, range, fits) => {
  expect(satisfies(version, range)).toBe(fits);
});

test("a version is within every range that is made from it, and no text makes it throw", () => {
  const version = fc.tuple(fc.nat(99), fc.nat(99), fc.nat(99)).map((numbers) => numbers.join("."));
  fc.assert(
    fc.property(version, version, fc.string(), (one, other, text) => {
      for (const op of ["", ">=", "<=", "^", "~", "~=", "=="]) expect(satisfies(one, `${op}${one}`)).toBe(true);
      expect(satisfies(one, `>${one}`)).toBe(false);
      expect(satisfies(one, `>=${other}`)).toBe(!satisfies(one, `<${other}`));
      expect(satisfies(highestVersion(one.split(".").slice(0, 2).join(".")) ?? "", `>=${one}`)).toBe(true);
      expect([true, false, undefined]).toContain(satisfies(text, text));
      highestVersion(text);
    }),
  );
});

/** Rows are found by an id, the beginning of one, or a short name; what matches several is refused with the candidates. */
import { expect, test } from "vitest";
import { oneNamed } from "../../src/conductor/name.ts";

const IDS = ["0198c0de-0000-7000-8000-00000000aaaa", "0198c0de-0000-7000-8000-00000000bbbb"];

async function find(name: string): Promise<string | undefined> {
  return oneNamed(name, {
    plural: "things",
    find: async (digits) => IDS.filter((id) => id.replaceAll("-", "").startsWith(digits) || id.slice(-8) === digits),
    describe: (id) => id.slice(-8),
  });
}

test("a whole id, however it is written, and a short name each find one row", async () => {
  expect(await find("0198C0DE-0000-7000-8000-00000000AAAA")).toBe(IDS[0]);
  expect(await find("0198c0de000070008000-00000000bbbb")).toBe(IDS[1]);
  expect(await find("0000bbbb")).toBe(IDS[1]);
});

test("what is not the beginning of an id finds nothing", async () => {
  for (const name of ["", "0", "zz", "../etc", "ffff", `${IDS[0]}0`]) expect(await find(name)).toBeUndefined();
});

test("a prefix of several ids is ambiguous, and the error lists them", async () => {
  await expect(find("0198")).rejects.toMatchObject({
    code: "ambiguous-name",
    message: "0198 matches several things: 0000aaaa, 0000bbbb. Give one more character.",
    facts: { candidates: ["0000aaaa", "0000bbbb"] },
  });
});

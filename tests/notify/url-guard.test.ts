/** Which URLs a webhook may use, in every spelling of known bypasses. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { guardUrl, isPublicAddress, UrlRefusedError } from "../../src/notify/url-guard.ts";
import hostile from "../hostile/webhook-urls.json" with { type: "json" };

/** A name server that always returns a public address, so that a refusal is due to the spelling. */
const resolve = () => Promise.resolve([{ address: "93.184.216.34", family: 4 }]);

describe("public addresses are those and no others", () => {
  test.each(hostile.publicAddresses)("public: %s", (address) => {
    expect(isPublicAddress(address)).toBe(true);
  });
  test.each(hostile.privateAddresses)("not public: %s", async (address) => {
    expect(isPublicAddress(address)).toBe(false);
    const answers = [
      { address: "93.184.216.34", family: 4 },
      { address, family: address.includes(":") ? 6 : 4 },
    ];
    await expect(guardUrl("https://example.com/", { resolve: () => Promise.resolve(answers) })).rejects.toThrow(
      UrlRefusedError,
    );
  });
});

test("an ordinary URL passes with the address to connect to", async () => {
  for (const url of [
    "https://example.com/hook?x=1",
    "https://example.com:8443/",
    "https://93.184.216.34/",
    "https://a.b.example.com./x@y",
  ]) {
    expect((await guardUrl(url, { resolve })).address.address).toBe("93.184.216.34");
  }
});

test("a name without an address is not refused, because it may get one later", async () => {
  const refused = await guardUrl("https://example.com/", { resolve: () => Promise.resolve([]) }).catch(
    (error: unknown) => error,
  );

  expect(refused).toBeInstanceOf(Error);
  expect(refused).not.toBeInstanceOf(UrlRefusedError);
});

test("no spelling of a private IPv4 number is accepted", async () => {
  const privateFirst = fc.constantFrom([10], [127], [192, 168], [172, 20], [169, 254], [100, 64], [0]);
  const spelt = fc.tuple(
    privateFirst,
    fc.array(fc.nat(255), { minLength: 4, maxLength: 4 }),
    fc.constantFrom("dotted", "number", "hex", "octal", "mapped"),
  );
  await fc.assert(
    fc.asyncProperty(spelt, async ([first, rest, spelling]) => {
      const bytes = [...first, ...rest].slice(0, 4);
      const number = bytes.reduce((sum, byte) => sum * 256 + byte, 0);
      const host = {
        dotted: bytes.join("."),
        number: String(number),
        hex: `0x${number.toString(16)}`,
        octal: bytes.map((byte) => `0${byte.toString(8)}`).join("."),
        mapped: `[::ffff:${bytes.join(".")}]`,
      }[spelling];

      await expect(guardUrl(`https://${host}/`, { resolve })).rejects.toThrow(UrlRefusedError);
    }),
  );
});

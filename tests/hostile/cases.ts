/** How hostile cases are written down: texts in pieces, so that a megabyte of brackets is one line and no scanner takes a case for a leak. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { z } from "zod";

/** A text, or its parts: each a text, or a text and how often it stands there. */
const Pieces = z.union([z.string(), z.array(z.union([z.string(), z.tuple([z.string(), z.int().min(1)])]))]);
export const Text = Pieces.transform((pieces) =>
  typeof pieces === "string"
    ? pieces
    : pieces.map((piece) => (typeof piece === "string" ? piece : piece[0].repeat(piece[1]))).join(""),
);

/** What every case says about itself. */
export const About = { name: z.string().min(1), proves: z.string().min(1) };

const MIN_CASES = 30;
/** An unpaired surrogate, which a JSON file cannot always hold: `{half}` in the cases. */
const HALF = "\ud800";

/** The cases of one file; too few of them, or two of one name, prove less than they seem to. */
export function parseCases<Case extends z.ZodType<{ name: string }>>(shape: Case, file: unknown): z.output<Case>[] {
  const { cases } = z.looseObject({ about: z.string(), cases: z.array(shape) }).parse(file);
  expect(cases.length).toBeGreaterThanOrEqual(MIN_CASES);
  expect(new Set(cases.map(({ name }) => name)).size).toBe(cases.length);
  return cases;
}

export interface Trap extends Disposable {
  readonly folder: string;
  /** What a hostile text would make, were any byte of it run. */
  readonly marker: string;
  /** `{marker}` and other names in braces, filled in. */
  fill(text: string, more?: Readonly<Record<string, string>>): string;
  expectUnsprung(): void;
}

export function aTrap(): Trap {
  const folder = mkdtempSync(join(tmpdir(), "fleet-trap-"));
  const marker = join(folder, "sprung");
  return {
    folder,
    marker,
    fill: (text, more = {}) =>
      Object.entries({ marker, folder, half: HALF, ...more }).reduce(
        (done, [name, value]) => done.replaceAll(`{${name}}`, value),
        text,
      ),
    expectUnsprung: () => expect(existsSync(marker), "a hostile text was run").toBe(false),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/**
 * The format of hostile cases: texts in pieces, so that a megabyte of brackets is one line and no scanner reports a
 * case as a leaked secret.
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { z } from "zod";

/** A text, or its parts: each a text, or a text and how often it repeats. */
const Pieces = z.union([z.string(), z.array(z.union([z.string(), z.tuple([z.string(), z.int().min(1)])]))]);
export const Text = Pieces.transform((pieces) =>
  typeof pieces === "string"
    ? pieces
    : pieces.map((piece) => (typeof piece === "string" ? piece : piece[0].repeat(piece[1]))).join(""),
);

/** The fields of every case. */
export const About = { name: z.string().min(1), proves: z.string().min(1) };

const MIN_CASES = 30;
/** An unpaired surrogate, which a JSON file cannot always hold: `{half}` in the cases. */
const HALF = "\ud800";

/** The cases of one file; with too few of them, or two of one name, the tests would prove less than they seem to. */
export function parseCases<Case extends z.ZodType<{ name: string }>>(shape: Case, file: unknown): z.output<Case>[] {
  const { cases } = z.looseObject({ about: z.string(), cases: z.array(shape) }).parse(file);
  expect(cases.length).toBeGreaterThanOrEqual(MIN_CASES);
  expect(new Set(cases.map(({ name }) => name)).size).toBe(cases.length);
  return cases;
}

export interface Trap extends Disposable {
  readonly folder: string;
  /** The file that a hostile text would create if any part of it were run. */
  readonly marker: string;
  /** Fills in `{marker}` and other names in braces. */
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

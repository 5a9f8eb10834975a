/** Pages of the docs that are written from the code: UPDATE_DOCS=1 writes them, every other run holds them to it. */
import { readFile, writeFile } from "node:fs/promises";
import { format } from "prettier";
import { expect } from "vitest";

export async function expectPage(path: string, markdown: string): Promise<void> {
  const page = await format(markdown, { parser: "markdown", printWidth: 120 });
  if (process.env["UPDATE_DOCS"]) await writeFile(path, page);

  const current = await readFile(path, "utf8").catch(() => "");
  expect(current, `${path} is not what the code says. Write it again: UPDATE_DOCS=1 npx vitest run`).toBe(page);
}

/** The same for source that is written from the document of the API. */
export async function expectSource(path: string, source: string): Promise<void> {
  const text = await format(source, { parser: "typescript", printWidth: 120 });
  if (process.env["UPDATE_DOCS"]) await writeFile(path, text);

  const current = await readFile(path, "utf8").catch(() => "");
  expect(
    current === text,
    `${path} is not what docs/openapi.json says. Write it again: UPDATE_DOCS=1 npx vitest run tests/docs`,
  ).toBe(true);
}

/** The same for a file that machines read. */
export async function expectJson(path: string, value: unknown): Promise<void> {
  const text = `${JSON.stringify(value, undefined, 2)}\n`;
  if (process.env["UPDATE_DOCS"]) await writeFile(path, text);

  const current = await readFile(path, "utf8").catch(() => "");
  expect(
    current === text,
    `${path} is not what the code says. Write it again: UPDATE_DOCS=1 npx vitest run tests/docs`,
  ).toBe(true);
}

/** fleet.yaml: found, read, and refused with every mistake at once. */
import { readFile } from "node:fs/promises";
import { dirname, isAbsolute, resolve } from "node:path";
import { parse } from "yaml";
import { FleetError } from "../domain/errors.ts";
import { parseSettings, type Settings } from "../domain/settings.ts";

/** The defaults when there is no file and none was named. Paths of products are relative to the file. */
export async function loadSettings(named: string | undefined, folder: string): Promise<Settings> {
  const file = named ?? resolve(folder, "fleet.yaml");
  const text = await readFile(file, "utf8").catch((error: unknown) => {
    if (!named && error instanceof Error && "code" in error && error.code === "ENOENT") return "";
    throw new FleetError("invalid-input", `${file} cannot be read: ${String(error)}`, { file }, error);
  });
  const parsed = parseSettings(readYaml(text, file));
  if (!parsed.ok) {
    const lines = parsed.problems.map(({ path, message }) => `  ${path || "(the whole file)"}: ${message}`);
    throw new FleetError("invalid-input", `${file} is not valid:\n${lines.join("\n")}`, { issues: parsed.problems });
  }
  const products = parsed.settings.products.map((product) => ({
    ...product,
    repository: locate(product.repository, dirname(resolve(folder, file))),
  }));
  return { ...parsed.settings, products };
}

function readYaml(text: string, file: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new FleetError("invalid-input", `${file} is not valid YAML: ${why}`, { file }, error);
  }
}

/** URLs and absolute paths as they are; `user@host:path` is a URL too. */
function locate(repository: string, folder: string): string {
  const isUrl = /^[a-z][a-z0-9+.-]*:\/\//i.test(repository) || /^[^/\s]+@[^/\s]+:/.test(repository);
  return isUrl || isAbsolute(repository) ? repository : resolve(folder, repository);
}

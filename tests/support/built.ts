/**
 * The built program, as users run it: starting it takes a third of the time that the test runner's own compiler
 * needs.
 */
import { execFile } from "node:child_process";
import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

const PROGRAM_ENV = "FLEET_TEST_PROGRAM";

export interface BuiltProgram {
  remove(): void;
}

/** Built from the current tree, once per run before the test workers, which find it by their environment. */
export async function build(): Promise<BuiltProgram> {
  // Inside node_modules, so that packages are resolved from there as from the real one.
  const folder = join(process.cwd(), "node_modules", ".cache", "fleet-test", String(process.pid));
  await promisify(execFile)("npx", ["tsc", "-p", "tsconfig.build.json", "--outDir", folder]);
  cpSync("src", join(folder, "src"), { recursive: true, filter: (path) => !path.endsWith(".ts") });
  process.env[PROGRAM_ENV] = join(folder, "src", "cli", "bin.js");
  return { remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** The path of its bin.js. */
export function builtProgram(): string {
  const path = process.env[PROGRAM_ENV];
  if (path === undefined) throw new Error("The program was not built: tests/support/prepare.ts does it.");
  return path;
}

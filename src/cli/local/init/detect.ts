/** Detects a repository's toolchain, and so the commands that set it up and check it. It reads files and runs nothing. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { COMPILED } from "./compiled.ts";
import { detectNode } from "./node.ts";
import { detectPython } from "./python.ts";
import type { Detected, Folder, Detector } from "./project.ts";

/** The first detector that recognizes the repository wins; a Makefile fills in what is missing. */
const DETECTORS: readonly Detector[] = [detectNode, detectPython, ...COMPILED];

export async function detectProject(root: string): Promise<Detected> {
  const folder = await openFolder(root);
  let detected: Detected | undefined;
  for (const detect of DETECTORS) detected ??= await detect(folder);
  const made = await detectMake(folder);
  const nothing: Detected = { language: "unknown", files: [] };
  if (!detected || !made) return detected ?? made ?? nothing;
  const missing = (["setup", "validate", "test"] as const).filter((name) => detected[name] === undefined && made[name]);
  const filled = Object.fromEntries(missing.map((name) => [name, made[name]]));
  return { ...detected, ...filled, files: [...detected.files, ...(missing.length > 0 ? made.files : [])] };
}

async function openFolder(root: string): Promise<Folder> {
  const names = await readdir(root);
  const known = new Set(names);
  return {
    names,
    has: (...wanted) => wanted.some((name) => known.has(name)),
    existing: (...wanted) => wanted.filter((name) => known.has(name)),
    text: async (name) => (known.has(name) ? readFile(join(root, name), "utf8").catch(() => "") : ""),
  };
}

/** `make install` changes the system, so it is not used as a setup command. */
async function detectMake(folder: Folder): Promise<Detected | undefined> {
  const [file] = folder.existing("GNUmakefile", "Makefile", "makefile");
  if (file === undefined) return undefined;
  const text = await folder.text(file);
  const targets = new Set(
    [...text.matchAll(/^(?<target>[A-Za-z][\w-]*)\s*:(?!=)/gm)].map(({ groups }) => groups?.["target"]),
  );
  const make = (...wanted: readonly string[]) => {
    const target = wanted.find((name) => targets.has(name));
    return target && `make ${target}`;
  };
  return {
    language: "unknown",
    packageManager: "make",
    setup: make("setup", "deps", "bootstrap"),
    validate: make("validate", "check", "lint"),
    test: make("test", "tests"),
    files: [file],
  };
}

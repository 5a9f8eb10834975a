/** JavaScript and TypeScript: package.json's scripts, and the package manager from the lock file or the packageManager field. */
import { z } from "zod";
import { parseJson } from "../../../domain/text/json.ts";
import type { Detected, Folder } from "./project.ts";

const Manifest = z.object({
  name: z.string().optional().catch(undefined),
  packageManager: z.string().optional().catch(undefined),
  scripts: z.record(z.string(), z.string()).catch({}).default({}),
  dependencies: z.record(z.string(), z.unknown()).catch({}).default({}),
  devDependencies: z.record(z.string(), z.unknown()).catch({}).default({}),
});
type Manifest = z.infer<typeof Manifest>;

type Manager = "npm" | "pnpm" | "yarn" | "bun";

const LOCKS: readonly (readonly [file: string, manager: Manager])[] = [
  ["pnpm-lock.yaml", "pnpm"],
  ["yarn.lock", "yarn"],
  ["bun.lock", "bun"],
  ["bun.lockb", "bun"],
  ["package-lock.json", "npm"],
  ["npm-shrinkwrap.json", "npm"],
];

/** One of the first list is enough; otherwise all scripts of the second list that exist are combined. */
const WHOLE_CHECKS = ["check", "validate", "verify"];
const PART_CHECKS = ["typecheck", "type-check", "check:types", "types", "lint"];

export async function detectNode(folder: Folder): Promise<Detected | undefined> {
  if (!folder.has("package.json")) return undefined;
  const manifest = Manifest.safeParse(parseJson(await folder.text("package.json"))).data ?? Manifest.parse({});
  const lock = LOCKS.find(([file]) => folder.has(file));
  const manager = declaredManager(manifest) ?? lock?.[1] ?? "npm";
  const isTyped = folder.has("tsconfig.json") || "typescript" in manifest.devDependencies;
  return {
    language: isTyped ? "TypeScript" : "JavaScript",
    packageManager: manager,
    name: manifest.name,
    setup: setupCommand(manager, manifest, {
      isLocked: lock?.[1] === manager,
      isModernYarn: folder.has(".yarnrc.yml"),
    }),
    validate: validateCommand(manager, manifest, folder),
    test: testCommand(manager, manifest),
    files: ["package.json", ...(lock ? [lock[0]] : [])],
  };
}

function declaredManager({ packageManager = "" }: Manifest): Manager | undefined {
  const [name] = packageManager.split("@");
  return name === "npm" || name === "pnpm" || name === "yarn" || name === "bun" ? name : undefined;
}

/** Installs exactly the locked versions, so that a run today and one tomorrow use the same. */
function setupCommand(
  manager: Manager,
  { dependencies, devDependencies }: Manifest,
  { isLocked, isModernYarn }: { isLocked: boolean; isModernYarn: boolean },
): string | undefined {
  if (!isLocked && Object.keys({ ...dependencies, ...devDependencies }).length === 0) return undefined;
  if (!isLocked) return `${manager} install`;
  if (manager === "npm") return "npm ci";
  return `${manager} install ${manager === "yarn" && isModernYarn ? "--immutable" : "--frozen-lockfile"}`;
}

function validateCommand(manager: Manager, { scripts }: Manifest, folder: Folder): string | undefined {
  const whole = WHOLE_CHECKS.find((name) => name in scripts);
  if (whole !== undefined) return `${manager} run ${whole}`;
  const parts = PART_CHECKS.filter((name) => name in scripts);
  if (parts.length > 0) return parts.map((name) => `${manager} run ${name}`).join(" && ");
  if ("build" in scripts) return `${manager} run build`;
  return folder.has("tsconfig.json") ? "npx tsc --noEmit" : undefined;
}

/** The test script that `npm init` writes is not a test. */
function testCommand(manager: Manager, { scripts }: Manifest): string | undefined {
  if ("test:ci" in scripts) return `${manager} run test:ci`;
  const test = scripts["test"];
  if (test === undefined || test.includes("no test specified")) return undefined;
  return manager === "bun" ? "bun run test" : `${manager} test`;
}

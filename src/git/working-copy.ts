/** A throwaway copy of one commit: its own clone in its own folder, named by the run, gone afterwards also if we crash. */
import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { delimiter, dirname, join } from "node:path";
import { killTree } from "../command/process-tree.ts";
import { runCommand } from "../command/run.ts";
import { asUser, findUnixUser, chownTree, allowTraversal } from "../command/unix-user.ts";
import { FleetError } from "../domain/errors.ts";
import { git, SYSTEM_PATH } from "./git.ts";

export interface WorkingCopyOptions {
  /** FLEET_HOME. */
  readonly home: string;
  /** Unique; the folder is called so. */
  readonly runId: string;
  readonly gitDir: string;
  readonly headSha: string;
  /** As whom what runs in it runs, and whose it is; left out: ours. */
  readonly unixUser?: string | undefined;
}

export interface WorkingCopy extends AsyncDisposable {
  readonly path: string;
  /** The whole environment of what runs in it: nothing of the worker's own. */
  readonly env: Readonly<Record<string, string>>;
  /** A folder beside the copy, for what a command leaves on purpose. */
  readonly dropDir: string;
  /** The command, as the user who runs things here. */
  readonly wrapArgv: (argv: readonly string[]) => readonly string[];
  /** Ends whatever was left running in it. */
  killProcesses(): Promise<void>;
}

const CLONE_TIMEOUT_MS = 300_000;
const REMOVE_TIMEOUT_MS = 120_000;
const RUN_ID = /^[A-Za-z0-9][A-Za-z0-9_-]{0,100}$/;
/** Found in the environment of whatever a run starts, however it detaches itself. */
const MARKER = "FLEET_RUN";

/** `env` is added to a clean one. A copy that an earlier try of the same run left is removed first. */
export async function openWorkingCopy(
  options: WorkingCopyOptions,
  env: Readonly<Record<string, string>> = {},
): Promise<WorkingCopy> {
  if (!RUN_ID.test(options.runId)) throw new FleetError("invalid-input", `${options.runId} cannot name a run.`);
  const user = options.unixUser === undefined ? undefined : await findUnixUser(options.unixUser);
  const dir = join(copiesRoot(options.home), options.runId);
  await moveToTrash(options.home, options.runId);
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const path = join(dir, "src");
  const drop = join(dir, "drop");
  const killProcesses = () => killMarked(options.runId);
  const dispose = () => removeWorkingCopy(options.home, options.runId);
  try {
    for (const folder of ["home", "tmp", "drop"]) await mkdir(join(dir, folder), { mode: 0o700 });
    await checkOut(options, path);
    if (user) {
      await allowTraversal(options.home, user);
      await chownTree(user, dir);
    }
  } catch (error) {
    await dispose();
    throw error;
  }
  const clean = { HOME: join(dir, "home"), TMPDIR: join(dir, "tmp"), PATH: programPath(), LANG: "C.UTF-8", CI: "true" };
  const as = (argv: readonly string[]) => asUser(user, argv);
  return {
    path,
    dropDir: drop,
    killProcesses,
    wrapArgv: as,
    env: { ...clean, ...env, [MARKER]: options.runId },
    [Symbol.asyncDispose]: dispose,
  };
}

/** With everything that runs in it. One that is not there is no news. */
export async function removeWorkingCopy(home: string, runId: string): Promise<void> {
  await killMarked(runId);
  await moveToTrash(home, runId);
}

/**
 * Removes copies whose runs are over: what a crash left. Says which. `live` is asked after the folder was read: a run that
 * begins meanwhile is then not among those found.
 */
export async function sweepWorkingCopies(
  home: string,
  findLive: (found: readonly string[]) => Promise<ReadonlySet<string>>,
): Promise<string[]> {
  const found = (await readdir(copiesRoot(home)).catch(() => [])).filter((name) => RUN_ID.test(name));
  if (found.length === 0) return [];
  const alive = await findLive(found);
  const dead = found.filter((name) => !alive.has(name));
  for (const runId of dead) await removeWorkingCopy(home, runId);
  await emptyTrash(home);
  return dead;
}

async function killMarked(runId: string): Promise<void> {
  await killTree([], { graceMs: 0, marker: { name: MARKER, value: runId } });
}

/**
 * Objects are borrowed from the forge's repository, or copied where its user cannot read that; files and configuration are
 * its own; it knows no remote to push to.
 */
async function checkOut({ gitDir, headSha, unixUser }: WorkingCopyOptions, path: string): Promise<void> {
  const clone = [
    "clone",
    "--quiet",
    unixUser === undefined ? "--shared" : "--no-hardlinks",
    "--no-checkout",
    "--no-tags",
    "--template=",
    "--end-of-options",
    gitDir,
    path,
  ];
  await git(clone, { cwd: "/", allowProtocol: "file", timeoutMs: CLONE_TIMEOUT_MS });
  await git(["remote", "remove", "origin"], { cwd: path });
  await git(["checkout", "--quiet", "--detach", headSha], { cwd: path, timeoutMs: CLONE_TIMEOUT_MS });
}

/** Where commands find their programs. Node's own folder first: products that need node get the one that runs us. */
export function programPath(): string {
  return [dirname(process.execPath), SYSTEM_PATH].join(delimiter);
}

/** Renamed first, so that a half-removed copy is never met under its name. */
async function moveToTrash(home: string, runId: string): Promise<void> {
  const trash = join(copiesRoot(home), ".trash");
  await mkdir(trash, { recursive: true, mode: 0o700 });
  const moved = await rename(
    join(copiesRoot(home), runId),
    join(trash, `${runId}-${process.pid}-${performance.now()}`),
  ).then(
    () => true,
    () => false,
  );
  if (moved) await emptyTrash(home);
}

/** Package managers leave read-only folders behind; `rm` never crosses into what a run may have mounted. */
async function emptyTrash(home: string): Promise<void> {
  const trash = join(copiesRoot(home), ".trash");
  const options = { cwd: "/", env: { PATH: SYSTEM_PATH }, timeoutMs: REMOVE_TIMEOUT_MS };
  for (const name of await readdir(trash).catch(() => [])) {
    const path = join(trash, name);
    const removed = await runCommand(["rm", "-rf", "--one-file-system", "--", path], options);
    if (removed.exitCode === 0) continue;
    await runCommand(["chmod", "-R", "u+rwX", "--", path], options);
    await rm(path, { recursive: true, force: true }).catch(() => undefined);
  }
}

function copiesRoot(home: string): string {
  return join(home, "checks");
}

/** Runs for an operator: listing and finding them, reading and verifying their evidence, and pinning one. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { FleetError } from "../../domain/errors.ts";
import type { Operator } from "../../domain/operator.ts";
import { shortId } from "../../domain/task/task.ts";
import { hashEvidence, sha256Hex } from "../../runs/evidence.ts";
import { findArtifact, listArtifacts, type Artifact } from "../../store/artifacts.ts";
import { nextPageCursor } from "../../store/keyset.ts";
import { auditBy } from "../../store/operators.ts";
import { findOrder } from "../../store/orders.ts";
import { listRuns, listRunsByName, listRunsOfOrder, pinRun, type RunFilter } from "../../store/runs.ts";
import type { Fleet } from "../fleet.ts";
import { oneNamed } from "../name.ts";
import type { Order } from "../../domain/orders/order.ts";
import type { Run } from "../../domain/orders/run.ts";

const gunzipAsync = promisify(gunzip);

/** Newest first. */
export async function listRunsFor(
  fleet: Fleet,
  by: Operator,
  filter: RunFilter,
): Promise<{ readonly runs: readonly Run[]; readonly next: ReturnType<typeof nextPageCursor> }> {
  const rows = await fleet.store.as(by, (tx) => listRuns(tx, by.tenantId, { ...filter, limit: filter.limit + 1 }));
  return { runs: rows.slice(0, filter.limit), next: nextPageCursor(rows, filter.limit) };
}

/** By id, by a prefix of it, or by short name, within the tenant. */
export async function getRunNamed(fleet: Fleet, by: Operator, name: string): Promise<Run> {
  const run = await oneNamed(name, {
    plural: "runs",
    find: (digits, limit) => fleet.store.as(by, (tx) => listRunsByName(tx, by.tenantId, digits, limit)),
    describe: ({ id, productId, intent }) => `${shortId(id)} (${productId} ${intent})`,
  });
  if (!run) throw new FleetError("not-found", `There is no run ${name}. See yours: fleet runs`, { name });
  return run;
}

export interface RunDetails {
  readonly order: Order;
  readonly artifacts: readonly Artifact[];
  /** All runs of its order, the latest first. */
  readonly tries: readonly Run[];
}

export async function getRunDetails(fleet: Fleet, by: Operator, run: Run): Promise<RunDetails> {
  return fleet.store.as(by, async (tx) => {
    const order = await findOrder(tx, run.orderId);
    if (!order) throw new FleetError("not-found", `The order of run ${shortId(run.id)} no longer exists.`);
    const artifacts = await listArtifacts(tx, run.id);
    return { order, artifacts, tries: await listRunsOfOrder(tx, order.id) };
  });
}

export interface EvidenceBytes {
  readonly name: string;
  readonly mediaType: string;
  readonly sha256: string;
  readonly bytes: Buffer;
}

/** From the database; of a run that is not over yet, as it stands on this host. */
export async function readEvidence(fleet: Fleet, by: Operator, run: Run, name: string): Promise<EvidenceBytes> {
  const found = await fleet.store.as(by, (tx) => findArtifact(tx, run.id, name));
  if (found) return { name, mediaType: found.mediaType, sha256: found.sha256, bytes: await gunzipAsync(found.gzipped) };
  const liveDir = run.status === "in_progress" && run.host === fleet.host.id && name === "output.log" && run.dir;
  const bytes = liveDir ? await readFile(join(liveDir, name)).catch(() => undefined) : undefined;
  if (bytes) return { name, mediaType: "text/plain", sha256: sha256Hex(bytes), bytes };
  throw new FleetError("not-found", `Run ${shortId(run.id)} has no ${name}. See: fleet run show ${shortId(run.id)}`);
}

export interface BrokenEvidence {
  readonly name: string;
  readonly where: "database" | "disk";
  readonly why: string;
}

export interface VerificationResult {
  readonly ok: boolean;
  readonly files: number;
  /** False when the folder is on another host or gc has collected it: then only the database was checked. */
  readonly disk: boolean;
  readonly broken: readonly BrokenEvidence[];
}

/** Hashes all evidence again: in the database, and on the disk of this host. */
export async function verifyEvidence(fleet: Fleet, run: Run): Promise<VerificationResult> {
  const artifacts = await fleet.store.asSystem((tx) => listArtifacts(tx, run.id));
  const broken: BrokenEvidence[] = [];
  if (artifacts.length === 0) broken.push({ name: "evidence.json", where: "database", why: "there is no evidence" });
  for (const artifact of artifacts) {
    const why = await findStorageFault(fleet, run, artifact);
    if (why !== undefined) broken.push({ name: artifact.name, where: "database", why });
  }
  const dir = run.host === fleet.host.id && run.collectedAt === null ? run.dir : null;
  if (dir === null) return { ok: broken.length === 0, files: artifacts.length, disk: false, broken };
  const disk = await hashEvidence(dir);
  broken.push(...(disk ? findBrokenOnDisk(artifacts, disk) : [{ name: ".", where: "disk", why: MISSING } as const]));
  return { ok: broken.length === 0, files: artifacts.length, disk: true, broken };
}

async function findStorageFault(fleet: Fleet, run: Run, { name, sha256 }: Artifact): Promise<string | undefined> {
  const found = await fleet.store.asSystem((tx) => findArtifact(tx, run.id, name));
  const bytes = found && (await gunzipAsync(found.gzipped).catch(() => undefined));
  if (!bytes) return "it cannot be read";
  return sha256Hex(bytes) === sha256 ? undefined : "its content does not match its hash";
}

const MISSING = "it is missing";

function findBrokenOnDisk(
  artifacts: readonly Artifact[],
  disk: ReadonlyMap<string, string>,
): VerificationResult["broken"] {
  const known = new Set(artifacts.map(({ name }) => name));
  const changed = artifacts.flatMap(({ name, sha256 }) => {
    const actual = disk.get(name);
    if (actual === sha256) return [];
    return [{ name, where: "disk" as const, why: actual === undefined ? MISSING : "it was changed" }];
  });
  const added = [...disk.keys()].filter((name) => !known.has(name));
  return [...changed, ...added.map((name) => ({ name, where: "disk" as const, why: "it was not recorded" }))];
}

export interface PinOptions {
  readonly pinned: boolean;
  readonly release?: string | undefined;
}

/** A pinned run, or one of a release, is never collected. Asked twice it stays as it is. */
export async function setRunPin(fleet: Fleet, by: Operator, run: Run, options: PinOptions): Promise<Run> {
  const release = options.pinned ? (options.release ?? run.release) : null;
  return fleet.store.asSystem(async (tx) => {
    const pinned = await pinRun(tx, { id: run.id, tenantId: by.tenantId }, { pinned: options.pinned, release });
    if (!pinned) {
      throw new FleetError("invalid-transition", `gc has already collected run ${shortId(run.id)}: restore it first.`);
    }
    const action = options.pinned ? "run.pinned" : "run.unpinned";
    await auditBy(tx, by, action, { runId: run.id, release });
    return pinned;
  });
}

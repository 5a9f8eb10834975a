/**
 * gc on the host that has the files, in two steps: an item is marked in a row and renamed into the trash of its root; after the
 * grace period it is deleted. After a crash between any two steps, the next pass repairs the marks.
 */
import { decideGc, type GcDecision } from "../../domain/gc/gc.ts";
import { toCollectedItem, type CollectedItem, type HostGcReport } from "../../domain/gc/report.ts";
import type { HostGcRequest } from "../../store/gc.ts";
import type { Fleet } from "../fleet.ts";
import { gatherGcFacts } from "./facts.ts";
import { collectItem } from "./collect-item.ts";
import { listDueMarks, repairMarks, sweepMarks } from "./marks.ts";

/** Per pass; the next pass collects the rest. */
const MAX_COLLECTED = 500;
const MAX_SAVED = 25;

/** A dry run changes nothing and reports exactly what a real run would do. Undefined while another process of this host collects. */
export async function collectGarbage(fleet: Fleet, request: HostGcRequest): Promise<HostGcReport | undefined> {
  if (request.dryRun) return previewGc(fleet, request);
  const report = await fleet.store.tryWithLock(`gc/${fleet.host.id}`, async () => {
    await repairMarks(fleet);
    const { collectable, retained, more } = await selectItems(fleet, request);
    const collected: CollectedItem[] = [];
    for (const { verdict, bytes } of collectable) collected.push(await collectItem(fleet, verdict, bytes));
    return { ...reportHeader(fleet, request), gone: collected, swept: [], kept: retained, more };
  });
  if (!report) return undefined;
  // Outside the lock, since deleting may take long and deleting twice is harmless.
  return { ...report, swept: await sweepMarks(fleet, request) };
}

async function previewGc(fleet: Fleet, request: HostGcRequest): Promise<HostGcReport> {
  const { collectable, retained, more } = await selectItems(fleet, request);
  const collected = collectable.map(({ verdict, bytes }) =>
    toCollectedItem(verdict, { bytes, outcome: "would", restore: null }),
  );
  const due = await listDueMarks(fleet, request);
  const swept = due.map(({ kind, subject, path, bytes }) => ({ kind, subject, path, bytes }));
  return { ...reportHeader(fleet, request), gone: collected, swept, kept: retained, more };
}

function reportHeader(fleet: Fleet, { dryRun }: HostGcRequest) {
  return { host: fleet.host.id, at: fleet.clock().toISOString(), dryRun };
}

interface Selection {
  readonly collectable: readonly { readonly verdict: GcDecision; readonly bytes: number }[];
  readonly retained: HostGcReport["kept"];
  readonly more: number;
}

async function selectItems(fleet: Fleet, request: HostGcRequest): Promise<Selection> {
  const facts = await gatherGcFacts(fleet, request);
  const verdicts = decideGc(facts, { ...fleet.settings.gc, host: fleet.host.id }, fleet.clock());
  const all = verdicts.filter((verdict) => verdict.collect);
  let saved = 0;
  const selected = all.filter(({ saveFirst }) => !saveFirst || ++saved <= MAX_SAVED).slice(0, MAX_COLLECTED);
  const folders = selected.filter(({ item }) => item.kind !== "branch").map(({ item }) => item.path);
  const sizes = await fleet.agents.disk.measureSizes(folders);
  return {
    collectable: selected.map((verdict) => ({ verdict, bytes: sizes.get(verdict.item.path) ?? 0 })),
    retained: countRetained(verdicts.filter((verdict) => !verdict.collect)),
    more: all.length - selected.length,
  };
}

function countRetained(verdicts: readonly GcDecision[]): HostGcReport["kept"] {
  const counts = new Map<string, HostGcReport["kept"][number]>();
  for (const { item, reason } of verdicts) {
    const key = `${item.kind} ${reason}`;
    const counted = counts.get(key) ?? { kind: item.kind, reason, count: 0 };
    counts.set(key, { ...counted, count: counted.count + 1 });
  }
  return [...counts.values()];
}

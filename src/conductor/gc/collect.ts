/**
 * gc on the host that holds the files. In two steps: what goes is marked in a row and renamed into the trash of its root; when
 * its grace is over, it is deleted. A crash between any two steps leaves what the next pass puts right.
 */
import { decideGc, type GcVerdict } from "../../domain/gc/gc.ts";
import { goneOf, type Gone, type HostGcReport } from "../../domain/gc/report.ts";
import type { GcAsk } from "../../store/gc.ts";
import type { Fleet } from "../fleet.ts";
import { gatherFacts } from "./facts.ts";
import { takeAway } from "./take.ts";
import { dueMarks, healMarks, sweepMarks } from "./marks.ts";

/** In one pass; the rest is for the next. */
const MOST_GONE = 500;
const MOST_SAVED = 25;

/**
 * A dry run changes nothing and says exactly what the real one would do now. Undefined when another process of this host is
 * at it.
 */
export async function collectGarbage(fleet: Fleet, ask: GcAsk): Promise<HostGcReport | undefined> {
  if (ask.dryRun) return describe(fleet, ask);
  const report = await fleet.store.exclusively(`gc/${fleet.host.id}`, async () => {
    await healMarks(fleet);
    const { going, kept, more } = await judge(fleet, ask);
    const gone: Gone[] = [];
    for (const { verdict, bytes } of going) gone.push(await takeAway(fleet, verdict, bytes));
    return { ...headOf(fleet, ask), gone, swept: [], kept, more };
  });
  if (!report) return undefined;
  // Beside the lock: deleting may take long, and doing it twice does no harm.
  return { ...report, swept: await sweepMarks(fleet, ask) };
}

async function describe(fleet: Fleet, ask: GcAsk): Promise<HostGcReport> {
  const { going, kept, more } = await judge(fleet, ask);
  const gone = going.map(({ verdict, bytes }) => goneOf(verdict, { bytes, outcome: "would", restore: null }));
  const swept = (await dueMarks(fleet, ask)).map(({ kind, subject, path, bytes }) => ({ kind, subject, path, bytes }));
  return { ...headOf(fleet, ask), gone, swept, kept, more };
}

function headOf(fleet: Fleet, { dryRun }: GcAsk) {
  return { host: fleet.host.id, at: fleet.clock().toISOString(), dryRun };
}

interface Judged {
  readonly going: readonly { readonly verdict: GcVerdict; readonly bytes: number }[];
  readonly kept: HostGcReport["kept"];
  readonly more: number;
}

async function judge(fleet: Fleet, ask: GcAsk): Promise<Judged> {
  const { facts } = await gatherFacts(fleet, ask);
  const verdicts = decideGc(facts, { ...fleet.settings.gc, host: fleet.host.id }, fleet.clock());
  const all = verdicts.filter(({ goes }) => goes);
  let saved = 0;
  const going = all.filter(({ saveFirst }) => !saveFirst || ++saved <= MOST_SAVED).slice(0, MOST_GONE);
  const sizes = await fleet.agents.disk.sizesOf(
    going.filter(({ item }) => item.kind !== "branch").map(({ item }) => item.path),
  );
  return {
    going: going.map((verdict) => ({ verdict, bytes: sizes.get(verdict.item.path) ?? 0 })),
    kept: countKept(verdicts.filter(({ goes }) => !goes)),
    more: all.length - going.length,
  };
}

function countKept(verdicts: readonly GcVerdict[]): HostGcReport["kept"] {
  const counts = new Map<string, HostGcReport["kept"][number]>();
  for (const { item, reason } of verdicts) {
    const key = `${item.kind} ${reason}`;
    const counted = counts.get(key) ?? { kind: item.kind, reason, count: 0 };
    counts.set(key, { ...counted, count: counted.count + 1 });
  }
  return [...counts.values()];
}

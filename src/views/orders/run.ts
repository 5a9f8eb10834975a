/** Runs of work orders as the API returns them and `--json` prints them. */
import { z } from "zod";
import { Intent } from "../../domain/orders/order.ts";
import { parseRunSummary, TestTotals, type Run } from "../../domain/orders/run.ts";
import { shortId } from "../../domain/task/task.ts";
import { OrderView } from "./order.ts";
import { toIsoOrNull } from "../fields.ts";

const Moment = z.iso.datetime();

export const RunView = z
  .object({
    id: z.uuid(),
    shortId: z.string(),
    orderId: z.uuid(),
    operatorId: z.string(),
    productId: z.string(),
    intent: Intent,
    attempt: z.int(),
    host: z.string().nullable(),
    status: z.enum(["in_progress", "success", "failed", "cancelled"]),
    headSha: z.string().nullable(),
    exitCode: z.int().nullable(),
    failure: z.string().nullable().meta({ description: "One word: time_out, budget_exceeded, missing_evidence, …" }),
    message: z.string().nullable(),
    transient: z.boolean().meta({ description: "It failed for a reason that may pass by itself" }),
    pinned: z.boolean(),
    release: z.string().nullable(),
    tests: TestTotals.nullable().meta({ description: "Read from JUnit files" }),
    dir: z.string().nullable().meta({ description: "The folder of its evidence on its host" }),
    startedAt: Moment,
    endedAt: Moment.nullable(),
    seconds: z.number().nullable(),
    collectedAt: Moment.nullable().meta({ description: "When gc quarantined it" }),
  })
  .meta({ id: "Run" });
export type RunView = z.infer<typeof RunView>;

export function viewRun(run: Run): RunView {
  return RunView.parse({
    ...run,
    shortId: shortId(run.id),
    tests: parseRunSummary(run.summary).tests ?? null,
    startedAt: run.startedAt.toISOString(),
    endedAt: toIsoOrNull(run.endedAt),
    seconds: run.endedAt ? Math.max(0, run.endedAt.getTime() - run.startedAt.getTime()) / 1_000 : null,
    collectedAt: toIsoOrNull(run.collectedAt),
  });
}

export const ArtifactView = z.object({
  name: z.string(),
  mediaType: z.string(),
  sizeBytes: z.int(),
  sha256: z.string(),
});

export const VerifiedView = z
  .object({
    ok: z.boolean(),
    files: z.int(),
    disk: z
      .boolean()
      .meta({ description: "false: the folder is on another host, or quarantined; only the database was checked" }),
    broken: z.array(z.object({ name: z.string(), where: z.enum(["database", "disk"]), why: z.string() })),
  })
  .meta({ id: "Verified", description: "Every piece of evidence hashed again and compared" });
export type VerifiedView = z.infer<typeof VerifiedView>;

export const RunStory = z
  .object({
    run: RunView,
    order: OrderView,
    summary: z.record(z.string(), z.unknown()),
    artifacts: z.array(ArtifactView),
    tries: z.array(RunView).meta({ description: "All runs of its order, the latest first" }),
    verified: VerifiedView.nullable(),
  })
  .meta({ id: "RunStory" });
export type RunStory = z.infer<typeof RunStory>;

export const EvidenceView = ArtifactView.extend({
  text: z.string().nullable(),
  base64: z.string().nullable().meta({ description: "If it is not text" }),
}).meta({ id: "Evidence" });
export type EvidenceView = z.infer<typeof EvidenceView>;

export function viewEvidence(file: { name: string; mediaType: string; sha256: string; bytes: Buffer }): EvidenceView {
  const { name, mediaType, sha256, bytes } = file;
  const text = decodeText(bytes);
  return {
    name,
    mediaType,
    sha256,
    sizeBytes: bytes.length,
    text,
    base64: text === null ? bytes.toString("base64") : null,
  };
}

/** Null if the bytes are not text. */
function decodeText(bytes: Buffer): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

export const PinRequest = z.strictObject({
  release: z.string().trim().min(1).max(100).optional().meta({ description: "The release this run belongs to" }),
});

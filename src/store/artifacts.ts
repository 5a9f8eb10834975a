/** artifacts: the evidence of runs, compressed, with the hash of the uncompressed bytes. */
import { z } from "zod";
import { sql, type Tx } from "./sql.ts";

export const Artifact = z.object({
  name: z.string(),
  mediaType: z.string(),
  sizeBytes: z.coerce.number(),
  sha256: z.string(),
  createdAt: z.date(),
});
export type Artifact = z.infer<typeof Artifact>;

const PackedArtifact = Artifact.extend({ gzipped: z.instanceof(Buffer) });
export type PackedArtifact = z.infer<typeof PackedArtifact>;

const columns = sql`a.name, a.media_type, a.size_bytes, a.sha256, a.created_at`;

export interface NewArtifact extends Omit<Artifact, "createdAt"> {
  readonly id: string;
  readonly gzipped: Buffer;
}

/** An artifact that exists stays as it is: evidence is never overwritten. */
export async function insertArtifacts(
  tx: Tx,
  run: { readonly id: string; readonly tenantId: string; readonly operatorId: string },
  files: readonly NewArtifact[],
): Promise<void> {
  if (files.length === 0) return;
  await tx.run`
    insert into artifacts (id, tenant_id, operator_id, run_id, name, media_type, size_bytes, sha256, bytes)
    select id, ${run.tenantId}, ${run.operatorId}, ${run.id}, name, media_type, size_bytes, sha256, bytes
    from unnest(${files.map(({ id }) => id)}::uuid[], ${files.map(({ name }) => name)}::text[],
      ${files.map(({ mediaType }) => mediaType)}::text[], ${files.map(({ sizeBytes }) => sizeBytes)}::bigint[],
      ${files.map(({ sha256 }) => sha256)}::text[], ${files.map(({ gzipped }) => gzipped)}::bytea[])
      as file (id, name, media_type, size_bytes, sha256, bytes)
    on conflict (run_id, name) where run_id is not null do nothing`;
}

/** Lists them without their bytes. */
export async function listArtifacts(tx: Tx, runId: string): Promise<Artifact[]> {
  return tx.many(Artifact)`select ${columns} from artifacts a where a.run_id = ${runId} order by a.name`;
}

export async function findArtifact(tx: Tx, runId: string, name: string): Promise<PackedArtifact | undefined> {
  return tx.maybeOne(PackedArtifact)`
    select ${columns}, a.bytes as gzipped from artifacts a where a.run_id = ${runId} and a.name = ${name}`;
}

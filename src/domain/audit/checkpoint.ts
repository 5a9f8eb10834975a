/** The texts that a signed checkpoint of the audit chains covers. Changing either text invalidates all earlier signatures: add a version. */

export interface CheckpointText {
  readonly atText: string;
  readonly heads: number;
  readonly digest: string;
  /** The signature of the previous checkpoint; empty for the first. */
  readonly previous: string;
  /** What retention removed along with this checkpoint, as PostgreSQL prints it. */
  readonly removedText: string;
}

export function checkpointText({ atText, heads, digest, previous, removedText }: CheckpointText): string {
  return ["fleet-audit-checkpoint/1", atText, String(heads), digest, previous, removedText].join("\n");
}

export interface CheckpointHead {
  readonly chain: string;
  readonly seq: number;
  readonly head: string;
  readonly removedSeq: number;
  readonly removedHash: string;
}

/** Adds one head to the digest, so that the result does not depend on the page size. Start with an empty digest. */
export function digestHead(digest: string, head: CheckpointHead, sha256: (text: string) => string): string {
  return sha256([digest, head.chain, head.seq, head.head, head.removedSeq, head.removedHash].join("\n"));
}

/** Explains how a chain differs from what the checkpoint recorded; undefined when it does not. */
export function findChainMismatch(
  recorded: CheckpointHead & { readonly found: string | null; readonly lastSeq: number | null },
  since: string,
): { readonly seq: number; readonly why: string } | undefined {
  const { seq, head, removedSeq, found, lastSeq } = recorded;
  if (seq === removedSeq || found === head) return undefined;
  const known = `the checkpoint of ${since} recorded ${seq === 1 ? "1 entry" : `${seq} entries`}`;
  if (lastSeq === null) return { seq: removedSeq + 1, why: `the whole chain is missing: ${known}` };
  if (lastSeq < seq) return { seq: lastSeq + 1, why: `the chain was truncated after entry ${lastSeq}: ${known}` };
  return {
    seq,
    why: found === null ? `entry ${seq} is missing: ${known}` : `it was replaced: ${known}, and this one was different`,
  };
}

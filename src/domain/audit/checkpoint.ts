/** What a checkpoint over the audit chains signs. Changing either text breaks every signature made before: add a version. */

export interface CheckpointText {
  readonly atText: string;
  readonly heads: number;
  readonly digest: string;
  /** The signature of the checkpoint before; empty for the first. */
  readonly previous: string;
  /** What retention took away with this one, as the database prints it. */
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

/** Head by head, so that it is the same however many come at a time. Begin with an empty digest. */
export function digestHead(digest: string, head: CheckpointHead, sha256: (text: string) => string): string {
  return sha256([digest, head.chain, head.seq, head.head, head.removedSeq, head.removedHash].join("\n"));
}

/** Why a chain is not as the checkpoint knew it; undefined when it is. */
export function findChainMismatch(
  recorded: CheckpointHead & { readonly found: string | null; readonly lastSeq: number | null },
  since: string,
): { readonly seq: number; readonly why: string } | undefined {
  const { seq, head, removedSeq, found, lastSeq } = recorded;
  if (seq === removedSeq || found === head) return undefined;
  const known = `the checkpoint of ${since} knew ${seq === 1 ? "1 entry" : `${seq} entries`}`;
  if (lastSeq === null) return { seq: removedSeq + 1, why: `the whole chain is gone: ${known}` };
  if (lastSeq < seq) return { seq: lastSeq + 1, why: `the chain was cut after entry ${lastSeq}: ${known}` };
  return {
    seq,
    why: found === null ? `entry ${seq} is gone: ${known}` : `it was replaced: ${known}, and this was another one`,
  };
}

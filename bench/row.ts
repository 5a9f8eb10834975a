/** A row of the bench: what is measured together, and how its lines are produced. */
import type { ScoreLine } from "./line.ts";
import type { BenchWorld } from "./world.ts";

export interface BenchRow {
  readonly rows: readonly string[];
  readonly what: string;
  measure(world: BenchWorld): Promise<readonly ScoreLine[]>;
}

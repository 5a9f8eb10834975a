/** What is measured together: numbers of the scoreboard, and how their lines come about. */
import type { ScoreLine } from "./line.ts";
import type { BenchWorld } from "./world.ts";

export interface BenchRow {
  readonly rows: readonly string[];
  readonly what: string;
  measure(world: BenchWorld): Promise<readonly ScoreLine[]>;
}

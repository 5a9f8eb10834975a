/** What is measured together: numbers of the scoreboard, and how their lines come about. */
import type { Line } from "./line.ts";
import type { World } from "./world.ts";

export interface Row {
  readonly rows: readonly string[];
  readonly what: string;
  measure(world: World): Promise<readonly Line[]>;
}

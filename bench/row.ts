/** What a row is: a number of the scoreboard, and how its lines are measured. */
import type { Line } from "./line.ts";
import type { World } from "./world.ts";

export interface Row {
  readonly row: string;
  readonly what: string;
  measure(world: World): Promise<readonly Line[]>;
}

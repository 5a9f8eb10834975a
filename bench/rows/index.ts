/** All rows, in the order of the scoreboard. */
import type { BenchRow } from "../row.ts";
import { admissionsRow } from "./admissions.ts";
import { hintsRow } from "./hints.ts";
import { jobsRow } from "./jobs.ts";
import { listingsRow } from "./listings.ts";
import { loadRow } from "./load.ts";
import { planRow } from "./plan.ts";
import { psRow } from "./ps.ts";
import { spawnRow } from "./spawn.ts";
import { startUpRow } from "./start-up.ts";
import { sweepRow } from "./sweep.ts";
import { textRow } from "./text.ts";
import { tickRow } from "./tick.ts";
import { transitionsRow } from "./transitions.ts";
import { upRow } from "./up.ts";

export const ROWS: readonly BenchRow[] = [
  transitionsRow,
  jobsRow,
  hintsRow,
  spawnRow,
  tickRow,
  psRow,
  startUpRow,
  sweepRow,
  admissionsRow,
  listingsRow,
  loadRow,
  planRow,
  textRow,
  upRow,
];

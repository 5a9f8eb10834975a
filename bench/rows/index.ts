/** All rows, in the order of the scoreboard. */
import type { Row } from "../row.ts";
import { transitionsRow } from "./transitions.ts";

export const ROWS: readonly Row[] = [transitionsRow];

/** `npm run bench`: the scoreboard. Alternates between ours and the references, prints the table, writes bench/results.json. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { ScoreLine } from "./line.ts";
import { describeMachine } from "./machine.ts";
import { ROWS } from "./rows/index.ts";
import { tableLines, tablePage } from "./table.ts";
import { openWorld } from "./world.ts";

/** The repository's root, from dist/bench. */
const ROOT = join(import.meta.dirname, "..", "..");

const { values } = parseArgs({
  options: {
    rows: { type: "string" },
    rounds: { type: "string" },
    quick: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    record: { type: "boolean", default: false },
  },
});
const rounds = Number(values.rounds ?? (values.quick ? 2 : 7));
if (!Number.isInteger(rounds) || rounds < 1) throw new Error("--rounds must be a whole number from 1.");
const wanted = values.rows?.split(",");
const known = ROWS.flatMap(({ rows }) => rows);
const unknown = wanted?.filter((row) => !known.includes(row)) ?? [];
const isWanted = (row: string) => wanted?.includes(row) ?? true;
if (unknown.length > 0) {
  throw new Error(`There is no row ${unknown.join(", ")}. Choose from: ${known.join(", ")}`);
}

process.exitCode = await bench();

async function bench(): Promise<number> {
  const say = (line: string) => void (values.json ? process.stderr : process.stdout).write(`${line}\n`);
  const startedAt = performance.now();
  const about = [
    ...describeMachine(),
    `${rounds} rounds${values.quick ? ", small sizes: a quick check, not a measurement" : ""}`,
  ];
  const lines: ScoreLine[] = [];
  const broken: string[] = [];
  {
    await using world = await openWorld({ rounds, quick: values.quick });
    for (const row of ROWS.filter(({ rows }) => rows.some(isWanted))) {
      const from = performance.now();
      say(`measuring ${row.what} (${row.rows.join(", ")}) …`);
      try {
        lines.push(...(await row.measure(world)).filter((line) => isWanted(line.row)));
      } catch (error) {
        broken.push(
          `${row.what} could not be measured: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
        );
      }
      say(`  ${((performance.now() - from) / 1_000).toFixed(1)} s`);
    }
    // Written before servers are stopped, so that a failure there does not lose the measurements.
    about.push(...describeMachine().slice(-1), `took ${Math.round((performance.now() - startedAt) / 1_000)} s`);
    const results = { about, lines, broken };
    writeFileSync(join(ROOT, "bench", "results.json"), `${JSON.stringify(results, null, 2)}\n`);
    if (values.record) writeFileSync(join(ROOT, "docs", "benchmarks.md"), tablePage(lines, about));
    if (values.json) process.stdout.write(`${JSON.stringify(results)}\n`);
    else for (const line of ["", ...about, "", ...tableLines(lines), ...broken]) say(line);
  }
  return broken.length > 0 || lines.some(({ verdict }) => verdict === "wrong") ? 1 : 0;
}

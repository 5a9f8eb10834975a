/** Row 8: what a command costs before it does anything. */
import { toScoreLine } from "../line.ts";
import { interleave, computePercentiles, pickFigure } from "../rounds.ts";
import type { BenchRow } from "../row.ts";
import { PROGRAM, runTimed } from "../stack.ts";

export const startUpRow: BenchRow = {
  rows: ["8"],
  what: "start of a command",
  async measure(world) {
    const home = await world.folder("home");
    const env = { PATH: process.env["PATH"] ?? "", HOME: home };
    const repeats = world.size(5, 2);
    const run = async (argv: readonly string[]) => {
      const taken: number[] = [];
      for (let at = 0; at < repeats; at += 1) taken.push((await runTimed([process.execPath, ...argv], env)).ms);
      return { wall: computePercentiles(taken).p50 };
    };
    const lines = [];
    for (const args of [["--version"], ["ps", "--help"]]) {
      const { stdout } = await runTimed([process.execPath, PROGRAM, ...args], env);
      const samples = await interleave(
        world.rounds,
        () => run([PROGRAM, ...args]),
        () => run(["-e", "0"]),
      );
      const options = {
        row: "8",
        what: `fleet ${args.join(" ")}`,
        reference: "node -e 0",
        unit: "ms",
        target: { atMost: 1.6 },
        wrong: /0\.1\.0|ps/.test(stdout) ? [] : ["it does not print what was requested"],
        reason: "loading our modules; Node 20 caches no compiled code between calls (22.8 and later do)",
      };
      lines.push(toScoreLine(options, pickFigure(samples.ours, "wall"), pickFigure(samples.theirs, "wall")));
    }
    return lines;
  },
};

/** Row 7: `fleet ps` of many agents, as a user waits for it: a new process, a real API, real rows. */
import { toScoreLine, type ScoreLine, type ScoreLineOptions } from "../line.ts";
import { pickFigure, interleave, computePercentiles } from "../rounds.ts";
import type { BenchRow } from "../row.ts";
import { seedTasks } from "../seed.ts";
import { credentialsFor, stopProgram, openStack, PROGRAM, startProgram, runTimed } from "../stack.ts";
import { openTmuxServer, startSessions } from "../tmux.ts";
import type { BenchWorld } from "../world.ts";

export const psRow: BenchRow = {
  rows: ["7"],
  what: "fleet ps",
  async measure(world) {
    const lines: ScoreLine[] = [];
    const walls = new Map<number, number[]>();
    for (const agents of [100, 200, 1_000]) {
      const { line, wall } = await measurePs(world, agents);
      lines.push(line);
      walls.set(agents, wall);
    }
    const options: ScoreLineOptions = {
      row: "7",
      what: "fleet ps of 1,000 agents",
      reference: "of 200",
      unit: "ms",
      target: { atMost: 1.5 },
      reason: "800 more rows to read, parse, send, parse and lay out; the start of Node does not outweigh them",
    };
    return [...lines, toScoreLine(options, walls.get(1_000) ?? [], walls.get(200) ?? [])];
  },
};

async function measurePs(world: BenchWorld, agents: number): Promise<{ line: ScoreLine; wall: number[] }> {
  const database = await world.database();
  const stack = await openStack(world, database);
  await seedTasks(database, stack.open.store, { count: agents, status: "running", withFacts: true });
  const web = await startProgram(stack.env, ["web"]);
  world.defer(() => stopProgram(web));
  const env = { ...stack.env, ...(await credentialsFor(stack)) };
  const tmux = await openTmuxServer(world);
  await startSessions(
    tmux,
    Array.from({ length: agents }, (_, at) => `agent-${at}`),
  );

  const repeats = world.size(3, 1);
  const repeat = async (measure: () => Promise<number>) => {
    const taken: number[] = [];
    for (let at = 0; at < repeats; at += 1) taken.push(await measure());
    return { wall: computePercentiles(taken).p50 };
  };
  let shown = "";
  const ps = async () => {
    const { ms, stdout } = await runTimed([process.execPath, PROGRAM, "ps"], env);
    shown = stdout;
    return ms;
  };
  const byHand = async () => {
    const node = await runTimed([process.execPath, "-e", "0"], env);
    return node.ms + (await runTimed([...tmux.argv, "list-panes", "-a"], env)).ms;
  };
  await ps();
  const samples = await interleave(
    world.rounds,
    () => repeat(ps),
    () => repeat(byHand),
  );
  await stopProgram(web);
  await tmux("kill-server");
  const rows = shown.split("\n").filter((line) => line.includes("Make change")).length;
  const options: ScoreLineOptions = {
    row: "7",
    what: `fleet ps, ${agents.toLocaleString("en-US")} agents`,
    reference: "node -e 0 + tmux list-panes -a",
    unit: "ms",
    target: { atMost: 2.5 },
    wrong: rows === agents ? [] : [`${rows} agents are shown, not ${agents}`],
    reason: "modules to load, one request, and every row parsed on both sides",
  };
  const wall = pickFigure(samples.ours, "wall");
  return { line: toScoreLine(options, wall, pickFigure(samples.theirs, "wall")), wall };
}

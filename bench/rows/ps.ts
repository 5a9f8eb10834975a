/** Row 7: `fleet ps` of many agents, as somebody who types it waits for it: a new program, a real API, real rows. */
import { lineOf, type Line, type LineTerms } from "../line.ts";
import { figure, interleave, spreadOf } from "../rounds.ts";
import type { Row } from "../row.ts";
import { seedTasks } from "../seed.ts";
import { credentialsFor, endProgram, openStack, PROGRAM, startProgram, timed } from "../stack.ts";
import { openTmuxServer, startSessions } from "../tmux.ts";
import type { World } from "../world.ts";

export const psRow: Row = {
  rows: ["7"],
  what: "fleet ps",
  async measure(world) {
    const lines: Line[] = [];
    const walls = new Map<number, number[]>();
    for (const agents of [100, 200, 1_000]) {
      const { line, wall } = await measurePs(world, agents);
      lines.push(line);
      walls.set(agents, wall);
    }
    const said: LineTerms = {
      row: "7",
      what: "fleet ps of 1,000 agents",
      reference: "of 200",
      unit: "ms",
      target: { atMost: 1.5 },
      reason: "800 more rows to read, parse, send, parse and lay out; the start of Node does not outweigh them",
    };
    return [...lines, lineOf(said, walls.get(1_000) ?? [], walls.get(200) ?? [])];
  },
};

async function measurePs(world: World, agents: number): Promise<{ line: Line; wall: number[] }> {
  const database = await world.database();
  const stack = await openStack(world, database);
  await seedTasks(database, stack.open.store, { count: agents, status: "running", withFacts: true });
  const web = await startProgram(stack.env, ["web"]);
  world.later(() => endProgram(web));
  const env = { ...stack.env, ...(await credentialsFor(stack)) };
  const tmux = await openTmuxServer(world);
  await startSessions(
    tmux,
    Array.from({ length: agents }, (_, at) => `agent-${at}`),
  );

  const often = world.size(3, 1);
  const several = async (look: () => Promise<number>) => {
    const taken: number[] = [];
    for (let at = 0; at < often; at += 1) taken.push(await look());
    return { wall: spreadOf(taken).p50 };
  };
  let shown = "";
  const ps = async () => {
    const { ms, stdout } = await timed([process.execPath, PROGRAM, "ps"], env);
    shown = stdout;
    return ms;
  };
  const byHand = async () => {
    const node = await timed([process.execPath, "-e", "0"], env);
    return node.ms + (await timed([...tmux.argv, "list-panes", "-a"], env)).ms;
  };
  await ps();
  const samples = await interleave(
    world.rounds,
    () => several(ps),
    () => several(byHand),
  );
  await endProgram(web);
  await tmux("kill-server");
  const rows = shown.split("\n").filter((line) => line.includes("Make change")).length;
  const said: LineTerms = {
    row: "7",
    what: `fleet ps, ${agents.toLocaleString("en-US")} agents`,
    reference: "node -e 0 + tmux list-panes -a",
    unit: "ms",
    target: { atMost: 2.5 },
    wrong: rows === agents ? [] : [`${rows} agents are shown, not ${agents}`],
    reason: "modules to load, one request, and every row parsed on both sides",
  };
  const wall = figure(samples.ours, "wall");
  return { line: lineOf(said, wall, figure(samples.theirs, "wall")), wall };
}

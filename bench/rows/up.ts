/** Row 15: `fleet up` until it answers, in a new home and in an existing one, compared with PostgreSQL alone. */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import {
  findFreePort,
  initCluster,
  startServer,
  stopServer,
  type Cluster,
} from "../../src/store/embedded/postgres-server.ts";
import { findBinaries, findRunAs } from "../../src/store/embedded/postgres-binaries.ts";
import { toScoreLine } from "../line.ts";
import { pickFigure, interleave } from "../rounds.ts";
import type { BenchRow } from "../row.ts";
import { HOST } from "../seed.ts";
import { stopProgram, startFleetUp } from "../stack.ts";
import type { BenchWorld } from "../world.ts";

export const upRow: BenchRow = {
  rows: ["15"],
  what: "fleet up",
  async measure(world) {
    const samples = await interleave(
      world.rounds,
      () => measureUp(world),
      () => measurePostgres(world),
    );
    const options = { row: "15", unit: "ms", target: { atMost: 2 } };
    return [
      toScoreLine(
        {
          ...options,
          what: "fleet up to ready, first time",
          reference: "initdb + start",
          reason: "our migrations, those of the queues in PostgreSQL, and a signing key come after initdb",
        },
        pickFigure(samples.ours, "first"),
        pickFigure(samples.theirs, "first"),
      ),
      toScoreLine(
        {
          ...options,
          what: "fleet up to ready, warm",
          reference: "postgres start",
          reason:
            "Node loads express, BullMQ and the rest (about 0.5 s of CPU) before anything else can begin; the server's start alone is 0.1 s",
        },
        pickFigure(samples.ours, "warm"),
        pickFigure(samples.theirs, "warm"),
      ),
    ];
  },
};

async function measureUp(world: BenchWorld): Promise<{ first: number; warm: number }> {
  const home = await world.folder("up");
  const start = async () => {
    const env = {
      PATH: process.env["PATH"] ?? "",
      HOME: home,
      FLEET_HOME: home,
      FLEET_HOST_ID: HOST,
      FLEET_LOG_LEVEL: "error",
      PORT: String(await findFreePort()),
    };
    const from = performance.now();
    const child = await startFleetUp(env);
    const ms = performance.now() - from;
    await stopProgram(child);
    return ms;
  };
  return { first: await start(), warm: await start() };
}

async function measurePostgres(world: BenchWorld): Promise<{ first: number; warm: number }> {
  const dir = await world.folder("postgres");
  const runAs = await findRunAs(join(dir, "data"));
  const cluster: Cluster = { dir, data: join(dir, "data"), runAs, binaries: await findBinaries(dir, runAs) };
  const start = async () => startServer(cluster, await findFreePort(), async () => undefined);
  const from = performance.now();
  await initCluster(cluster, { user: "fleetwright", password: randomBytes(8).toString("hex") });
  await start();
  const first = performance.now() - from;
  await stopServer(cluster);
  const again = performance.now();
  await start();
  const warm = performance.now() - again;
  await stopServer(cluster);
  return { first, warm };
}

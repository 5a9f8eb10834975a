/** Row 15: `fleet up` until it answers, in a new home and in a known one, against PostgreSQL alone. */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import {
  freePort,
  initCluster,
  startServer,
  stopServer,
  type Cluster,
} from "../../src/store/embedded/postgres-server.ts";
import { findBinaries, findRunAs } from "../../src/store/embedded/postgres-binaries.ts";
import { lineOf } from "../line.ts";
import { figure, interleave } from "../rounds.ts";
import type { Row } from "../row.ts";
import { HOST } from "../seed.ts";
import { endProgram, startUp } from "../stack.ts";
import type { World } from "../world.ts";

export const upRow: Row = {
  rows: ["15"],
  what: "fleet up",
  async measure(world) {
    const samples = await interleave(
      world.rounds,
      () => up(world),
      () => postgres(world),
    );
    const said = { row: "15", unit: "ms", target: { atMost: 2 } };
    return [
      lineOf(
        {
          ...said,
          what: "fleet up to ready, first time",
          reference: "initdb + start",
          reason: "our migrations, those of the queues in PostgreSQL, and a signing key come after initdb",
        },
        figure(samples.ours, "first"),
        figure(samples.theirs, "first"),
      ),
      lineOf(
        {
          ...said,
          what: "fleet up to ready, warm",
          reference: "postgres start",
          reason:
            "Node loads express, BullMQ and the rest (about 0.5 s of CPU) before anything else can begin; the server's start alone is 0.1 s",
        },
        figure(samples.ours, "warm"),
        figure(samples.theirs, "warm"),
      ),
    ];
  },
};

async function up(world: World): Promise<{ first: number; warm: number }> {
  const home = await world.folder("up");
  const start = async () => {
    const env = {
      PATH: process.env["PATH"] ?? "",
      HOME: home,
      FLEET_HOME: home,
      FLEET_HOST_ID: HOST,
      FLEET_LOG_LEVEL: "error",
      PORT: String(await freePort()),
    };
    const from = performance.now();
    const child = await startUp(env);
    const ms = performance.now() - from;
    await endProgram(child);
    return ms;
  };
  return { first: await start(), warm: await start() };
}

async function postgres(world: World): Promise<{ first: number; warm: number }> {
  const dir = await world.folder("postgres");
  const runAs = await findRunAs(join(dir, "data"));
  const cluster: Cluster = { dir, data: join(dir, "data"), runAs, binaries: await findBinaries(dir, runAs) };
  const start = async () => startServer(cluster, await freePort(), async () => undefined);
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

/** What doctor asks about the stores, the clocks and the stack that runs now. */
import { openRedisBackend } from "../../../broker/redis.ts";
import type { Config } from "../../../environment.ts";
import { sayHold } from "../../../domain/task/kill-switch.ts";
import { databaseClock } from "../../../store/clock.ts";
import { lookAtEmbedded } from "../../../store/embedded/embedded.ts";
import { pendingMigrations } from "../../../store/migrate.ts";
import { assertUsable } from "../../../store/store.ts";
import { EstopsView, type EstopView } from "../../../views/estop.ts";
import { InvariantsView } from "../../../views/integrity.ts";
import { connectApi } from "../../client/api.ts";
import { readCredentials } from "../../client/credentials.ts";
import { plural, span } from "../../print/format.ts";
import type { Finding } from "./doctor.ts";

const MOST_SKEW_MS = 2_000;
const ALIVE_MS = 2_000;

export async function lookAtPostgres(config: Config): Promise<Finding[]> {
  const given = config.DATABASE_URL;
  const embedded = given ? undefined : await lookAtEmbedded(config.FLEET_HOME);
  const name = "PostgreSQL";
  const url = given ?? embedded?.url;
  if (!url) return [{ name, state: "absent", said: "embedded; made by the first fleet up" }];
  const kind = given ? new URL(url).host : "embedded";
  if (!(await answers(url))) {
    if (!given) return [{ name, state: "absent", said: "embedded, stopped; fleet up starts it" }];
    return [
      { name, state: "wrong", said: `${kind} does not answer`, fix: "Check DATABASE_URL, and that the server runs" },
    ];
  }
  try {
    const pending = await pendingMigrations(config.DATABASE_DIRECT_URL ?? url);
    if (pending.length > 0) {
      const said = `${kind}: ${plural(pending.length, "migration")} not applied yet (${pending[0]} …)`;
      return [{ name, state: "wrong", said, fix: "fleet migrate" }];
    }
    const { version, maxConnections, privilegedLogin } = await assertUsable(url);
    const said = `${kind}, ${version}, ${maxConnections} connections; schema current, roles usable`;
    return [{ name, state: "ok", said: said + (given ? aboutLogin(privilegedLogin) : "") }];
  } catch (error) {
    return [{ name, state: "wrong", said: `${kind}: ${wordsOf(error)}` }];
  }
}

function aboutLogin(privileged: string | undefined): string {
  return privileged === undefined ? "" : `; login ${privileged} could leave its role (docs/governance.md, Tenancy)`;
}

async function answers(url: string): Promise<boolean> {
  return databaseClock(url).then(
    () => true,
    () => false,
  );
}

/** Leases are the database's time; notifications and stories are this machine's. */
export async function lookAtClock(config: Config): Promise<Finding[]> {
  const url = config.DATABASE_URL ?? (await lookAtEmbedded(config.FLEET_HOME))?.url;
  if (!url) return [];
  const before = Date.now();
  const theirs = await databaseClock(url).catch(() => undefined);
  if (!theirs) return [];
  const skewMs = theirs.getTime() - (before + Date.now()) / 2;
  const said = `${span(Math.abs(skewMs))} ${skewMs < 0 ? "behind" : "ahead of"} this machine`;
  if (Math.abs(skewMs) <= MOST_SKEW_MS) return [{ name: "clock", state: "ok", said: `the database's is ${said}` }];
  return [
    {
      name: "clock",
      state: "wrong",
      said: `the database's is ${said}`,
      fix: "Keep both in time: timedatectl set-ntp true",
    },
  ];
}

export async function lookAtRedis({ REDIS_URL: url, FLEET_QUEUE_PREFIX: prefix }: Config): Promise<Finding> {
  const name = "Redis";
  if (!url)
    return { name, state: "absent", said: "not used; queues are in PostgreSQL (REDIS_URL=redis://… for Redis)" };
  try {
    const backend = await openRedisBackend({ url, prefix, onError: () => undefined });
    const pressure = await backend.memoryPressure();
    await backend.close();
    const memory = pressure > 0 ? `, ${Math.round(pressure * 100)} % of its memory used` : "";
    return { name, state: "ok", said: `${new URL(url).host}, evicts nothing${memory}` };
  } catch (error) {
    return { name, state: "wrong", said: wordsOf(error) };
  }
}

export async function lookAtStack({ FLEET_HOME, FLEET_URL, FLEET_TOKEN }: Config): Promise<Finding[]> {
  const env = { FLEET_HOME, FLEET_URL, FLEET_TOKEN };
  const name = "fleet";
  const credentials = await readCredentials(env).catch(() => undefined);
  const alive =
    credentials &&
    (await fetch(new URL("/healthz", credentials.url), { signal: AbortSignal.timeout(ALIVE_MS) }).then(
      ({ ok }) => ok,
      () => false,
    ));
  if (!credentials || !alive) return [{ name, state: "absent", said: "not running here", fix: "npx fleet up" }];
  try {
    const api = connectApi(credentials);
    const { invariants, checks } = await api.ask("GET /api/fleet/invariants", {}, InvariantsView);
    const { stops } = await api.ask("GET /api/fleet/estop", {}, EstopsView);
    const broken = invariants.filter(({ holds }) => holds === false);
    return [
      { name, state: "ok", said: `runs at ${credentials.url}` },
      ...stops.map((stop) => stopFinding(stop)),
      broken.length === 0
        ? { name: "invariants", state: "ok", said: `${plural(invariants.length, "invariant")} checked, all hold` }
        : {
            name: "invariants",
            state: "wrong",
            said: broken.map(({ id, statement }) => `${id}: not true that ${statement}`).join("; "),
            fix: "fleet invariants shows where; docs/operations.md says what to do",
          },
      ...checks.filter(({ runs }) => !runs).map(({ name: check }) => lateFinding(check)),
    ];
  } catch (error) {
    return [{ name, state: "wrong", said: `runs at ${credentials.url}, and refuses: ${wordsOf(error)}` }];
  }
}

function lateFinding(check: string): Finding {
  return {
    name: "checks",
    state: "wrong",
    said: `${check} does not run`,
    fix: "Is a worker running? fleet invariants",
  };
}

/** On purpose, so nothing is to be mended; but whoever wonders why nothing happens is told. */
function stopFinding(stop: EstopView): Finding {
  const said = `${sayHold(stop)} (by ${stop.by ?? "fleet.yaml"})`;
  return { name: "estop", state: "absent", said, fix: "fleet estop lists what is stopped; fleet estop release" };
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

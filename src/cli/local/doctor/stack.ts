/** The doctor checks of the stores, the clocks and the running stack. */
import { openRedisBackend } from "../../../broker/redis.ts";
import type { Config } from "../../../environment.ts";
import { describeHold } from "../../../domain/task/kill-switch.ts";
import { readDatabaseTime } from "../../../store/clock.ts";
import { findEmbeddedPostgres } from "../../../store/embedded/embedded.ts";
import { listPendingMigrations } from "../../../store/migrate.ts";
import { assertDatabaseUsable } from "../../../store/store.ts";
import { EstopsView, type EstopView } from "../../../views/estop.ts";
import { InvariantsView } from "../../../views/integrity.ts";
import { connectApi } from "../../client/api.ts";
import { readCredentials } from "../../client/credentials.ts";
import { plural, formatDuration } from "../../print/format.ts";
import { messageOf } from "../../../domain/errors.ts";
import type { Finding } from "./check.ts";

const MAX_SKEW_MS = 2_000;
const HEALTH_TIMEOUT_MS = 2_000;

export async function checkPostgres(config: Config): Promise<Finding[]> {
  const configured = config.DATABASE_URL;
  const embedded = configured ? undefined : await findEmbeddedPostgres(config.FLEET_HOME);
  const name = "PostgreSQL";
  const url = configured ?? embedded?.url;
  if (!url) return [{ name, state: "absent", said: "embedded; created by the first fleet up" }];
  const kind = configured ? new URL(url).host : "embedded";
  if (!(await isReachable(url))) {
    if (!configured) return [{ name, state: "absent", said: "embedded, stopped; fleet up starts it" }];
    return [
      {
        name,
        state: "wrong",
        said: `${kind} does not answer`,
        fix: "Check DATABASE_URL, and whether the server is running",
      },
    ];
  }
  try {
    const pending = await listPendingMigrations(config.DATABASE_DIRECT_URL ?? url);
    if (pending.length > 0) {
      const said = `${kind}: ${plural(pending.length, "SQL file")} not applied yet (${pending[0]} …)`;
      return [{ name, state: "wrong", said, fix: "fleet migrate" }];
    }
    const { version, maxConnections, privilegedLogin } = await assertDatabaseUsable(url);
    const said = `${kind}, ${version}, ${maxConnections} connections; schema current, roles usable`;
    return [{ name, state: "ok", said: said + (configured ? loginWarning(privilegedLogin) : "") }];
  } catch (error) {
    return [{ name, state: "wrong", said: `${kind}: ${messageOf(error)}` }];
  }
}

function loginWarning(privileged: string | undefined): string {
  return privileged === undefined ? "" : `; login ${privileged} could escape its role (docs/tenancy.md)`;
}

async function isReachable(url: string): Promise<boolean> {
  return readDatabaseTime(url).then(
    () => true,
    () => false,
  );
}

/** Leases use the database's time; notifications and task histories use this machine's. */
export async function checkClock(config: Config): Promise<Finding[]> {
  const url = config.DATABASE_URL ?? (await findEmbeddedPostgres(config.FLEET_HOME))?.url;
  if (!url) return [];
  const before = Date.now();
  const databaseTime = await readDatabaseTime(url).catch(() => undefined);
  if (!databaseTime) return [];
  const skewMs = databaseTime.getTime() - (before + Date.now()) / 2;
  const said = `${formatDuration(Math.abs(skewMs))} ${skewMs < 0 ? "behind" : "ahead of"} this machine`;
  if (Math.abs(skewMs) <= MAX_SKEW_MS) return [{ name: "clock", state: "ok", said: `the database's is ${said}` }];
  return [
    {
      name: "clock",
      state: "wrong",
      said: `the database's is ${said}`,
      fix: "Synchronize both clocks: timedatectl set-ntp true",
    },
  ];
}

export async function checkRedis({ REDIS_URL: url, FLEET_QUEUE_PREFIX: prefix }: Config): Promise<Finding> {
  const name = "Redis";
  if (!url)
    return { name, state: "absent", said: "not used; queues are in PostgreSQL (REDIS_URL=redis://… for Redis)" };
  try {
    const backend = await openRedisBackend({ url, prefix, onError: () => undefined });
    const pressure = await backend.memoryPressure();
    await backend.close();
    const memory = pressure > 0 ? `, ${Math.round(pressure * 100)} % of its memory used` : "";
    return { name, state: "ok", said: `${new URL(url).host}, no eviction${memory}` };
  } catch (error) {
    return { name, state: "wrong", said: messageOf(error) };
  }
}

export async function checkStack({ FLEET_HOME, FLEET_URL, FLEET_TOKEN }: Config): Promise<Finding[]> {
  const env = { FLEET_HOME, FLEET_URL, FLEET_TOKEN };
  const name = "fleet";
  const credentials = await readCredentials(env).catch(() => undefined);
  const alive =
    credentials &&
    (await fetch(new URL("/healthz", credentials.url), { signal: AbortSignal.timeout(HEALTH_TIMEOUT_MS) }).then(
      ({ ok }) => ok,
      () => false,
    ));
  if (!credentials || !alive) return [{ name, state: "absent", said: "not running here", fix: "npx fleet up" }];
  try {
    const api = connectApi(credentials);
    const { invariants, checks } = await api.request("GET /api/fleet/invariants", {}, InvariantsView);
    const { stops } = await api.request("GET /api/fleet/estop", {}, EstopsView);
    const broken = invariants.filter(({ holds }) => holds === false);
    return [
      { name, state: "ok", said: `running at ${credentials.url}` },
      ...stops.map((stop) => stopFinding(stop)),
      broken.length === 0
        ? { name: "invariants", state: "ok", said: `${plural(invariants.length, "invariant")} checked, all true` }
        : {
            name: "invariants",
            state: "wrong",
            said: broken.map(({ id, statement }) => `${id}: not true that ${statement}`).join("; "),
            fix: "fleet invariants shows where; docs/operations.md explains what to do",
          },
      ...checks.filter(({ runs }) => !runs).map(({ name: check }) => lateFinding(check)),
    ];
  } catch (error) {
    return [{ name, state: "wrong", said: `running at ${credentials.url}, but it refuses: ${messageOf(error)}` }];
  }
}

function lateFinding(check: string): Finding {
  return {
    name: "checks",
    state: "wrong",
    said: `${check} is not running`,
    fix: "Is a worker running? fleet invariants",
  };
}

/** A stop is intended, so it needs no fix; it is shown because an operator may wonder why nothing happens. */
function stopFinding(stop: EstopView): Finding {
  const said = `${describeHold(stop)} (by ${stop.by ?? "fleet.yaml"})`;
  return { name: "estop", state: "absent", said, fix: "fleet estop lists what is stopped; fleet estop release" };
}

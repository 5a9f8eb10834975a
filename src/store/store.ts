/** The one door to PostgreSQL: a transaction that knows on whose behalf it runs. Nothing else touches the pool. */
import { setTimeout as pause } from "node:timers/promises";
import { Client, Pool, type PoolClient } from "pg";
import { z } from "zod";
import { FleetError } from "../domain/errors.ts";
import { isUnavailable, isRetryable, isConnectionUsable, toDomainError } from "./failures.ts";
import { openTx, type Tx } from "./sql.ts";
import { openTransitions, type Transitions } from "./transitions.ts";
import { asOperator, type OperatorRef, type Principal, SYSTEM } from "./principal.ts";

/** Runs in one transaction, and may run again, so it must use nothing but `tx`. */
type Work<Result> = (tx: Tx) => Promise<Result>;

export interface Store {
  /** Runs `work` in one transaction; `work` may run again (deadlock, serialization), so it must use nothing but `tx`. */
  transaction<Result>(on: Principal, work: Work<Result>): Promise<Result>;
  /** The same, as the fleet itself: sees all tenants. */
  asSystem<Result>(work: Work<Result>): Promise<Result>;
  /** The same, for an operator's request: reads within the tenant, writes as the operator. */
  as<Result>(operator: OperatorRef, work: Work<Result>): Promise<Result>;
  /** Moves or patches one task; concurrent calls share statements (group commit). */
  readonly transitions: Transitions;
  /** Runs `work` while this process alone holds the named lock, or returns undefined at once when another holds it. */
  tryWithLock<Result>(name: string, work: Work<Result>): Promise<Result | undefined>;
  readonly pool: { readonly total: number; readonly idle: number; readonly waiting: number };
  close(): Promise<void>;
}

export interface StoreOptions {
  readonly url: string;
  readonly maxConnections: number;
  /** The longest time for a statement: 5 s behind a request, 30 s in a worker. */
  readonly statementTimeoutMs: number;
  readonly onLostConnection: (error: Error) => void;
}

const LockRow = z.object({ held: z.boolean() });

const MAX_TRIES = 4;
/** `begin` waits for no lock, so a server that does not answer it in time hangs, however long statements may take. */
const BEGIN_TIMEOUT_MS = 6_000;
/** An idle transaction (a hung queue behind the relay) must not hold its row locks for ever. */
const IDLE_TRANSACTION_TIMEOUT_MS = 10_000;

/**
 * Connections that only hold a lock while the guarded work uses others. They have a pool of their own, because in a shared one
 * they could take the last connection, for which their own work would wait.
 */
export const LOCK_CONNECTIONS = 8;

export function openStore(options: StoreOptions): Store {
  const pool = openPool(options, options.maxConnections);
  const lockPool = openPool(options, LOCK_CONNECTIONS);
  const held = new Set<string>();
  let closed: Promise<unknown> | undefined;

  async function runTransaction<Result>(from: Pool, principal: Principal, work: Work<Result>): Promise<Result> {
    const client = await from.connect();
    client.on("error", options.onLostConnection);
    let broken = true;
    try {
      const answerMs = Math.min(BEGIN_TIMEOUT_MS, options.statementTimeoutMs + 1_000);
      const begin = { text: beginStatement(client, principal, options.statementTimeoutMs), query_timeout: answerMs };
      await client.query(begin);
      const result = await work(openTx(client));
      await client.query("commit");
      broken = false;
      return result;
    } catch (error) {
      // A connection that cannot roll back is broken: the pool must discard it. One that does not answer gets no rollback,
      // which would take as long again.
      broken = isUnavailable(error) && !isConnectionUsable(error) ? true : await rollbackFails(client);
      throw error;
    } finally {
      client.off("error", options.onLostConnection);
      client.release(broken);
    }
  }

  async function transactionFrom<Result>(from: Pool, principal: Principal, work: Work<Result>): Promise<Result> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await runTransaction(from, principal, work);
      } catch (error) {
        if (tries >= MAX_TRIES || !isRetryable(error)) throw toDomainError(error);
        await pause(tries * 20);
      }
    }
  }

  const transaction: Store["transaction"] = (principal, work) => transactionFrom(pool, principal, work);

  async function tryWithLock<Result>(name: string, work: Work<Result>): Promise<Result | undefined> {
    // This process holds it already, so no connection is needed to find out.
    if (held.has(name)) return undefined;
    held.add(name);
    try {
      return await transactionFrom(lockPool, SYSTEM, async (tx) => {
        return (await tryLock(tx, name)) ? work(tx) : undefined;
      });
    } finally {
      held.delete(name);
    }
  }

  return {
    transaction,
    asSystem: (work) => transaction(SYSTEM, work),
    as: (operator, work) => transaction(asOperator(operator), work),
    transitions: openTransitions((text, values) => queryOnce(pool, options, text, values)),
    tryWithLock,
    get pool() {
      return { total: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount };
    },
    close: async () => void (await (closed ??= Promise.all([pool.end(), lockPool.end()]))),
  };
}

async function tryLock(tx: Tx, name: string): Promise<boolean> {
  const [lock] = await tx.many(LockRow)`select pg_try_advisory_xact_lock(hashtextextended(${name}, 0)) as held`;
  if (!lock?.held) return false;
  // This transaction only holds the lock while the work uses others, so it may be idle for as long as a job may take.
  await tx.run`select set_config('idle_in_transaction_session_timeout', '60s', true)`;
  return true;
}

function rollbackFails(client: PoolClient): Promise<boolean> {
  return client.query("rollback").then(
    () => false,
    () => true,
  );
}

/** Runs one statement as a transaction of its own. */
async function queryOnce(
  pool: Pool,
  options: StoreOptions,
  text: string,
  values: unknown[],
): Promise<Record<string, unknown>[]> {
  const client = await pool.connect();
  client.on("error", options.onLostConnection);
  let broken = false;
  try {
    return (await client.query<Record<string, unknown>>(text, values)).rows;
  } catch (error) {
    broken = !isConnectionUsable(error);
    throw error;
  } finally {
    client.off("error", options.onLostConnection);
    client.release(broken);
  }
}

function openPool(options: StoreOptions, max: number): Pool {
  const pool = new Pool({
    connectionString: options.url,
    min: 0,
    max,
    connectionTimeoutMillis: 5_000,
    idleTimeoutMillis: 30_000,
    // A limit in the client, for the single statements of `transitions`, which no `set local` precedes.
    query_timeout: options.statementTimeoutMs + 1_000,
    application_name: "fleetwright",
  });
  // Without a listener, a restart of PostgreSQL that closes one idle connection ends the whole process.
  pool.on("error", options.onLostConnection);
  return pool;
}

/** Begins and enters the principal's role in one round trip; fleet_enter also sets the lock time-out. A batch takes no parameters, hence literals. */
function beginStatement(client: PoolClient, principal: Principal, statementTimeoutMs: number): string {
  const context = client.escapeLiteral(JSON.stringify(principal));
  return `begin;
    set local statement_timeout = ${statementTimeoutMs};
    set local idle_in_transaction_session_timeout = ${IDLE_TRANSACTION_TIMEOUT_MS};
    select fleet_enter(${context}::jsonb)`;
}

/** The role of a transaction after fleet_enter, and the roles that it could switch to. */
const EnteredRole = z.object({
  role: z.string(),
  privileged: z.boolean(),
  owns: z.boolean(),
  becomes: z.array(z.string()),
});

const ENTERED_ROLE_QUERY = `select current_user as role,
  exists (select from pg_roles where rolname = current_user and (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb))
    as privileged,
  exists (select from pg_class where relnamespace = 'public'::regnamespace and pg_has_role(current_user, relowner, 'member'))
    as owns,
  array(select rolname::text from pg_roles where rolname <> current_user and not rolsuper
    and pg_has_role(current_user, oid, 'member') order by 1) as becomes`;

export interface DatabaseInfo {
  readonly version: string;
  readonly maxConnections: number;
  /** The login, if it is a superuser or an owner: SQL that resets its role then bypasses row security. */
  readonly privilegedLogin: string | undefined;
}

/**
 * Refuses to start when row security would not hold. It enters the roles as transactions do; they must then neither be
 * privileged, nor own a table, nor be able to switch to another role.
 */
export async function assertDatabaseUsable(url: string): Promise<DatabaseInfo> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  client.on("error", () => undefined);
  try {
    await client.connect();
    await assertRoles(client);
    for (const role of ["fleet_app", "fleet_worker"]) {
      await client.query("begin");
      await assertRoleIsolated(client, role);
      await client.query("rollback");
    }
    const about = await client.query<{ version: string; most: string; login: string | null }>(
      `select current_setting('server_version') as version, current_setting('max_connections') as most,
         (select rolname from pg_roles where rolname = session_user
            and (rolsuper or rolbypassrls or pg_has_role(session_user, 'fleet_owner', 'member'))) as login`,
    );
    const { version = "unknown", most = 0, login } = about.rows[0] ?? {};
    return { version, maxConnections: Number(most), privilegedLogin: login ?? undefined };
  } catch (error) {
    throw toDomainError(error);
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function assertRoles(client: Client): Promise<void> {
  const roles = await client.query<{ rolname: string }>(
    `select rolname from pg_roles where rolname in ('fleet_app', 'fleet_worker')
       and not rolsuper and not rolbypassrls and not rolcreaterole and pg_has_role(current_user, oid, 'member')`,
  );
  if (roles.rows.length === 2) return;
  throw new FleetError(
    "database-unusable",
    "The roles fleet_app and fleet_worker are missing, privileged, or not granted to this login. Run: fleet migrate",
  );
}

/** Checks, in an open transaction, the role that PostgreSQL reports after fleet_enter, not the requested one. */
export async function assertRoleIsolated(client: Pick<Client, "query">, role: string): Promise<void> {
  await client.query("select fleet_enter($1::jsonb)", [JSON.stringify({ role })]);
  const { rows } = await client.query(ENTERED_ROLE_QUERY);
  const entered = EnteredRole.parse(rows[0]);
  const wrong = [
    entered.role === role ? "" : `a transaction that enters ${role} is ${entered.role}`,
    entered.privileged
      ? `${role} is privileged: alter role ${role} nosuperuser nobypassrls nocreaterole nocreatedb`
      : "",
    entered.owns ? `${role} owns tables, or may become who does: alter table … owner to fleet_owner` : "",
    ...entered.becomes.map((other) => `${role} may become ${other}: revoke ${other} from ${role}`),
  ].filter(Boolean);
  if (wrong.length === 0) return;
  const sentence = `Row security would not hold, so nothing was started: ${wrong.join("; ")}.`;
  throw new FleetError("database-unusable", sentence, { role, wrong });
}

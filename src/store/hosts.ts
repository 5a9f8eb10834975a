/** hosts: machines that can hold agents, their lease, and how many agents they hold. */
import { z } from "zod";
import type { Tx } from "./sql.ts";
import { Host } from "../domain/host.ts";

export interface HostReport {
  readonly id: string;
  readonly bootId: string;
  /** The process that reports: one at a time per host, others are on standby. */
  readonly reporter: string;
  readonly slots: number;
  readonly versions: Readonly<Record<string, string>>;
  readonly load: number;
  readonly diskFreeMb: number;
}

/** Takes or renews the host's lease; returns false when another process of this machine holds it. */
export async function renewHost(tx: Tx, report: HostReport, leaseMs: number): Promise<boolean> {
  const renewed = await tx.run`
    insert into hosts (id, boot_id, reporter, lease_until, slots, versions, load, disk_free_mb)
    values (${report.id}, ${report.bootId}, ${report.reporter}, now() + ${leaseMs}::float8 * interval '1 ms',
      ${report.slots}, ${JSON.stringify(report.versions)}::jsonb, ${report.load}, ${report.diskFreeMb})
    on conflict (id) do update set boot_id = excluded.boot_id, reporter = excluded.reporter,
      lease_until = excluded.lease_until, slots = excluded.slots, versions = excluded.versions, load = excluded.load,
      disk_free_mb = excluded.disk_free_mb, reported_at = now(), draining = false
    where hosts.reporter in (excluded.reporter, '') or hosts.lease_until < now()`;
  return renewed > 0;
}

/** Releases the lease at shutdown, so that the next process need not wait for it to expire. */
export async function releaseHost(tx: Tx, id: string, reporter: string): Promise<void> {
  await tx.run`update hosts set reporter = '' , lease_until = greatest(lease_until, now()), draining = true
    where id = ${id} and reporter = ${reporter}`;
}

export async function listHosts(tx: Tx): Promise<Host[]> {
  return tx.many(Host)`
    select h.id, h.boot_id, h.reporter, h.lease_until, h.lease_until > now() as alive,
      greatest(0, extract(epoch from now() - h.lease_until) * 1000)::float8 as overdue_ms, h.slots, h.draining, h.versions,
      h.load, h.disk_free_mb, h.labels, h.started_at, h.reported_at,
      (select count(*)::int from fleet_tasks t where t.host = h.id and t.status in ('spawning', 'running')) as held
    from hosts h order by h.id`;
}

/** Locks the host's row, so that two claims cannot both take the last slot. Returns -1 for an unknown host. */
export async function lockFreeSlots(tx: Tx, hostId: string): Promise<number> {
  const row = await tx.maybeOne(z.object({ slots: z.int() }))`select slots from hosts where id = ${hostId} for update`;
  if (!row) return -1;
  const { held } = await tx.one(z.object({ held: z.int() }))`
    select count(*)::int as held from fleet_tasks t where t.host = ${hostId} and t.status in ('spawning', 'running')`;
  return row.slots - held;
}

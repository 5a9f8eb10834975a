/** What the fleet itself declares, and what is there: its clocks, its database, its always-on agents on this host. */
import { fleetSchedules } from "../../../schedules/fleet.ts";
import { QUEUES } from "../../../queues/index.ts";
import { canonical } from "../../domain/text/canonical.ts";
import type { DeclaredFleet, ObservedFleet, ObservedSession } from "../../domain/drift/fleet-drift.ts";
import { knownMigrations } from "../../store/migrate.ts";
import { expectedSchema, listAppliedMigrations, readSchema } from "../../store/schema.ts";
import { listSchedules } from "../../store/schedules.ts";
import { WORKER } from "../../store/store.ts";
import { surveySessions } from "../../survey/sessions.ts";
import type { Fleet } from "../fleet.ts";
import { tickingOf } from "../schedules/files.ts";

export interface FleetSurvey {
  readonly declared: DeclaredFleet;
  readonly actual: ObservedFleet;
}

export async function surveyFleet(fleet: Fleet): Promise<FleetSurvey> {
  const { roster } = fleet.settings;
  const [stored, schedulers, migrations, schema, sessions] = await Promise.all([
    fleet.store.transaction(WORKER, async (tx) => ({
      schedules: await listSchedules(tx),
      migrations: await listAppliedMigrations(tx),
      schema: await readSchema(tx),
    })),
    fleet.broker.listSchedulers(QUEUES),
    knownMigrations(),
    expectedSchema(),
    sessionsOf(fleet),
  ]);
  const ticking = [
    ...fleetSchedules({ tickMs: fleet.tickMs, planner: fleet.settings.planner }),
    ...stored.schedules.flatMap(tickingOf),
  ];
  return {
    declared: { schedulers: ticking, migrations, schema, roster, configuration: configurationPrint(fleet) },
    actual: { schedulers, migrations: stored.migrations, schema: stored.schema, host: fleet.host.id, sessions },
  };
}

/** One look for each tmux server that the roster names and that this host may have. */
async function sessionsOf({ settings, host }: Fleet): Promise<Map<string, readonly ObservedSession[]>> {
  const here = settings.roster.filter((agent) => agent.host === undefined || agent.host === host.id);
  const sessions = new Map<string, readonly ObservedSession[]>();
  for (const socket of new Set(here.map((agent) => agent.socket ?? ""))) {
    const found = await surveySessions(socket);
    if (found) sessions.set(socket, found);
  }
  return sessions;
}

/** A short print of fleet.yaml as it was read: hosts report theirs, and those that differ are found. */
export function configurationPrint({ settings, sha256 }: Pick<Fleet, "settings" | "sha256">): string {
  return sha256(canonical(settings)).slice(0, 16);
}

/** What the fleet itself declares, and what exists: its schedulers, its database schema, its always-on agents on this host. */
import { fleetSchedules } from "../../../schedules/fleet.ts";
import { QUEUES } from "../../../queues/index.ts";
import { canonicalJson } from "../../domain/text/canonical.ts";
import type { DeclaredFleet, ObservedFleet, ObservedSession } from "../../domain/drift/fleet-drift.ts";
import { listKnownMigrations } from "../../store/migrate.ts";
import { readExpectedSchema, listAppliedMigrations, readSchema } from "../../store/schema.ts";
import { listSchedules } from "../../store/schedules.ts";
import { surveySessions } from "../../survey/sessions.ts";
import type { Fleet } from "../fleet.ts";
import { toQueueSchedules } from "../schedules/files.ts";

export interface FleetSurvey {
  readonly declared: DeclaredFleet;
  readonly actual: ObservedFleet;
}

export async function surveyFleet(fleet: Fleet): Promise<FleetSurvey> {
  const { roster } = fleet.settings;
  const [stored, schedulers, migrations, schema, sessions] = await Promise.all([
    fleet.store.asSystem(async (tx) => ({
      schedules: await listSchedules(tx),
      migrations: await listAppliedMigrations(tx),
      schema: await readSchema(tx),
    })),
    fleet.broker.listSchedulers(QUEUES),
    listKnownMigrations(),
    readExpectedSchema(),
    surveyHostSessions(fleet),
  ]);
  const declaredSchedulers = [
    ...fleetSchedules({ tickMs: fleet.tickMs, planner: fleet.settings.planner }),
    ...stored.schedules.flatMap(toQueueSchedules),
  ];
  return {
    declared: { schedulers: declaredSchedulers, migrations, schema, roster, configuration: configFingerprint(fleet) },
    actual: { schedulers, migrations: stored.migrations, schema: stored.schema, host: fleet.host.id, sessions },
  };
}

/** Queries each tmux server that the roster names for this host. */
async function surveyHostSessions({ settings, host }: Fleet): Promise<Map<string, readonly ObservedSession[]>> {
  const hostAgents = settings.roster.filter((agent) => agent.host === undefined || agent.host === host.id);
  const sessions = new Map<string, readonly ObservedSession[]>();
  for (const socket of new Set(hostAgents.map((agent) => agent.socket ?? ""))) {
    const found = await surveySessions(socket);
    if (found) sessions.set(socket, found);
  }
  return sessions;
}

/** Hosts report this short hash of the fleet.yaml that they read, so that hosts with another one are found. */
export function configFingerprint({ settings, sha256 }: Pick<Fleet, "settings" | "sha256">): string {
  return sha256(canonicalJson(settings)).slice(0, 16);
}

/** Drift: look at products and at the fleet, compare, and keep what differs. Nothing that is looked at is changed. */
import type { DriftJob } from "../../../queues/drift.ts";
import { compareDrift, type Baseline, type DriftReport, type NotChecked } from "../../domain/drift/drift.ts";
import { driftEvent, driftMessage } from "../../domain/drift/report.ts";
import { composeNotification } from "../../domain/notify/notification.ts";
import type { Product } from "../../domain/product.ts";
import {
  listBaselines,
  listOpenDrift,
  mergeFindings,
  recordBaselines,
  recordLooks,
  type Drift,
} from "../../store/drift.ts";
import { listHosts, type Host } from "../../store/hosts.ts";
import { insertNotifications } from "../../store/notifications.ts";
import { insertEvents } from "../../store/outbox.ts";
import type { Tx } from "../../store/sql.ts";
import { WORKER } from "../../store/store.ts";
import { surveyProduct } from "../../survey/product.ts";
import { factoryOperator } from "../system-operator.ts";
import { surveyFleet, type FleetSurvey } from "./fleet-survey.ts";
import type { Fleet } from "../fleet.ts";
import {
  FLEET_SUBJECT,
  glance,
  inRounds,
  lookedAt,
  lookRound,
  productSubject,
  tenantsOf,
  unseen,
  type Glance,
} from "./rounds.ts";
import { getProduct } from "../products/products.ts";
import { HOUSE_TENANT } from "../scope.ts";

type ObservedProduct = Awaited<ReturnType<typeof surveyProduct>>;

/** What a look found out: its report, and those of its findings that nobody knew. */
export interface Looked {
  readonly report: DriftReport;
  readonly fresh: readonly Drift[];
}

/** Answers a job of the queue. What another worker is looking at is left to that one. */
export async function lookForDrift(
  fleet: Fleet,
  job: Extract<DriftJob, { look: "fleet" | "asked" }>,
  signal: AbortSignal,
): Promise<void> {
  if (job.look === "fleet") {
    for (const tenantId of tenantsOf(fleet)) {
      if (!signal.aborted) await lookAtTenant(fleet, tenantId, { lock: `drift/${tenantId}`, signal });
    }
  } else if (job.productId === undefined) {
    await lookAtTenant(fleet, job.tenantId, { signal });
  } else {
    await lookAtProduct(fleet, getProduct(fleet, job.tenantId, job.productId));
  }
}

interface Terms {
  /** Nobody else looks meanwhile; left out when somebody waits for this very look. */
  readonly lock?: string;
  readonly signal?: AbortSignal;
}

/** All products of a tenant; for the house's, the fleet itself too. Each round keeps and tells what it found. */
export async function lookAtTenant(fleet: Fleet, tenantId: string, { lock, signal }: Terms = {}): Promise<void> {
  await inRounds(fleet, lock, lookedAt(fleet, tenantId), async (products, isFirst) => {
    const at = fleet.clock();
    const { glances, rest } = await lookRound(fleet, products, ({ id }, place) => surveyProduct(id, place), signal);
    const survey = isFirst && tenantId === HOUSE_TENANT ? await surveyFleet(fleet) : undefined;
    await keep(fleet, { tenantId, at, glances, survey, isWhole: isFirst });
    return rest;
  });
}

/** One product, now, for an order or because somebody asked. Throws when it cannot be looked at. */
export async function lookAtProduct(
  fleet: Fleet,
  product: Product,
): Promise<Looked & { readonly headSha: string | null }> {
  const at = fleet.clock();
  const found = await glance(fleet, product, ({ id }, place) => surveyProduct(id, place));
  const looked = await keep(fleet, {
    tenantId: product.tenant,
    at,
    glances: [found],
    survey: undefined,
    isWhole: false,
  });
  return { ...looked, headSha: found.commitSha };
}

interface Kept {
  readonly tenantId: string;
  readonly at: Date;
  readonly glances: readonly Glance<ObservedProduct>[];
  readonly survey: FleetSurvey | undefined;
  /** It knows of all products of the tenant: findings about others are gone. */
  readonly isWhole: boolean;
}

/** Compared and kept in one transaction, with whom to tell of what is new; as many statements whatever the number of products. */
async function keep(fleet: Fleet, kept: Kept): Promise<Looked> {
  const { tenantId, at, glances } = kept;
  const { id: operatorId } = await factoryOperator(fleet, tenantId);
  const owner = { tenantId, operatorId };
  const looked = await fleet.store.transaction(WORKER, async (tx) => {
    const report = await compare(tx, fleet, kept);
    const findings = report.findings.map((finding) => Object.assign({ id: fleet.newId() }, finding));
    const subjects = [...report.subjects, ...(await strays(tx, fleet, kept))];
    const fresh = await mergeFindings(tx, owner, { at, subjects, findings });
    await recordBaselines(tx, owner, { at, by: fleet.worker, baselines: report.firstSeen });
    const notChecked = [...unseen(glances), ...report.notChecked];
    await recordLooks(tx, owner, "drift", looksFrom(kept, notChecked));
    await tell(tx, fleet, { ...owner, at, fresh });
    return { report: { ...report, notChecked }, fresh };
  });
  fleet.kickRelay();
  return looked;
}

async function compare(tx: Tx, fleet: Fleet, { tenantId, at, glances, survey }: Kept): Promise<DriftReport> {
  const seen = glances.flatMap((one) => one.seen ?? []);
  const hosts = (await listHosts(tx)).map((host) => asOfNow(host, fleet, survey));
  const subjects = [
    ...seen.map(({ id }) => productSubject(id)),
    ...(survey ? ["schedules", "database"] : []),
    ...(survey?.declared.roster ?? []).map(({ name }) => `roster:${name}`),
    ...(survey ? hosts.map(({ id }) => `host:${id}`) : []),
  ];
  const baselines: readonly Baseline[] = await listBaselines(tx, tenantId, subjects);
  const declared = { products: glances.map(({ product }) => product), fleet: survey?.declared };
  return compareDrift(declared, { products: seen, hosts, fleet: survey?.actual }, baselines, at);
}

/** What this very process reported is a tick old; a fleet.yaml that was read anew since then is no drift. */
function asOfNow(host: Host, { worker }: Fleet, survey: FleetSurvey | undefined): Host {
  if (!survey || host.reporter !== worker || host.versions["config"] === undefined) return host;
  return { ...host, versions: { ...host.versions, config: survey.declared.configuration } };
}

type NewLook = Parameters<typeof recordLooks>[3][number];

/** Each product's own, and what belongs to none of them under the fleet's. */
function looksFrom({ at, glances, survey }: Kept, notChecked: readonly NotChecked[]): NewLook[] {
  const own = new Map<string, NotChecked[]>();
  for (const one of notChecked) {
    const [first = ""] = one.what.split(" ");
    const subject = first.startsWith("product:") ? first : FLEET_SUBJECT;
    own.set(subject, [...(own.get(subject) ?? []), one]);
  }
  const look = (subject: string, commitSha: string | null): NewLook => {
    return { subject, at, commitSha, notChecked: own.get(subject) ?? [] };
  };
  const products = glances.map(({ product, commitSha }) => look(productSubject(product.id), commitSha));
  return survey ? [...products, look(FLEET_SUBJECT, null)] : products;
}

/** Subjects of findings that are declared no more: removed products and roster agents, hosts that are gone. */
async function strays(tx: Tx, fleet: Fleet, { tenantId, survey, isWhole }: Kept): Promise<string[]> {
  if (!isWhole) return [];
  const products = new Set(lookedAt(fleet, tenantId).map(({ id }) => productSubject(id)));
  const roster = new Set(survey?.declared.roster.map(({ name }) => `roster:${name}`));
  const hosts = new Set((await listHosts(tx)).flatMap(({ id, alive }) => (alive ? [`host:${id}`] : [])));
  const open = await listOpenDrift(tx, tenantId);
  return open
    .map(({ subject }) => subject)
    .filter((subject) => {
      if (subject.startsWith("product:")) return !products.has(subject);
      if (survey && subject.startsWith("roster:")) return !roster.has(subject);
      return survey !== undefined && subject.startsWith("host:") && !hosts.has(subject);
    });
}

interface News {
  readonly tenantId: string;
  readonly operatorId: string;
  readonly at: Date;
  readonly fresh: readonly Drift[];
}

/** One message for the whole look, written before anybody tries to deliver it; machines hear of it too. */
async function tell(tx: Tx, fleet: Fleet, { fresh, ...owner }: News): Promise<void> {
  if (fresh.length === 0) return;
  const lookId = fleet.newId();
  await insertEvents(tx, [driftEvent(lookId, fresh, owner)]);
  const { channels, mute } = fleet.settings.notify;
  if (mute.includes("drift_found")) return;
  const {
    type,
    summary,
    taskId: _none,
    ...facts
  } = composeNotification("drift_found", null, {
    detail: driftMessage(fresh),
  });
  await insertNotifications(tx, owner, { key: `drift/${lookId}`, type, summary, facts, channels });
}

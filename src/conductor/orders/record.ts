/** The records of a run: the order and the machine when it starts, last_run.json and the sealed evidence when it ends. */
import { join } from "node:path";
import { MAX_HEAL_ATTEMPTS } from "../../domain/orders/transient-failures.ts";
import type { LastRun } from "../../domain/orders/last-run.ts";
import { HEALABLE_INTENTS, type Order } from "../../domain/orders/order.ts";
import type { Product } from "../../domain/product.ts";
import { toActions, type Run } from "../../domain/orders/run.ts";
import { LAST_RUN, MANIFEST, replaceFile, runsDir, sealEvidence, type OpenEvidence } from "../../runs/evidence.ts";
import { readMachineFacts } from "../../runs/machine.ts";
import type { NewArtifact } from "../../store/artifacts.ts";
import { toWorkOrder } from "../../store/orders.ts";
import { countProductPullRequests } from "../delivery/pull-requests.ts";
import type { Fleet } from "../fleet.ts";

/** A run in progress. */
export interface RunContext {
  readonly order: Order;
  readonly run: Run;
  readonly product: Product;
  readonly evidence: OpenEvidence;
}

export interface RunState {
  readonly status: LastRun["status"];
  readonly sentence: string;
  readonly seconds: number;
  /** The reason, if the product was stopped. */
  readonly stopped: string | undefined;
}

const JSON_TYPE = "application/json";

export async function recordStart(fleet: Fleet, work: RunContext): Promise<void> {
  const { order, product, evidence } = work;
  await evidence.write("order.json", jsonText(toWorkOrder(order)), JSON_TYPE);
  const machine = await readMachineFacts(fleet.host.id, toActions(order.intent, product));
  await evidence.write("machine.json", jsonText(machine), JSON_TYPE);
  const sentence = `${order.intent} is running`;
  const state = { status: "in_progress", sentence, seconds: 0, stopped: undefined } as const;
  await publishLastRun(fleet, work, await buildLastRun(fleet, work, state));
}

/** Writes last_run.json and seals the evidence; nothing can be added to the folder afterwards. */
export async function recordEnd(
  fleet: Fleet,
  work: RunContext,
  state: RunState,
): Promise<{ readonly lastRun: LastRun; readonly files: readonly NewArtifact[] }> {
  const { run, evidence } = work;
  const lastRun = await buildLastRun(fleet, work, state);
  await evidence.write(LAST_RUN, jsonText(lastRun), JSON_TYPE);
  evidence.close();
  const options = { runId: run.id, at: fleet.clock(), mediaTypes: evidence.mediaTypes };
  const sealed = await sealEvidence(evidence.path, options);
  return { lastRun, files: sealed.map((file) => Object.assign(file, { id: fleet.newId() })) };
}

/** Replaces the product's last_run.json atomically, so that no reader sees half of it. */
export async function publishLastRun(
  fleet: Fleet,
  { product }: Pick<RunContext, "product">,
  lastRun: LastRun,
): Promise<void> {
  await replaceFile(join(runsDir(fleet.home, product.id), LAST_RUN), jsonText(lastRun));
}

async function buildLastRun(fleet: Fleet, work: RunContext, state: RunState): Promise<LastRun> {
  const { order, run, product, evidence } = work;
  const { max_tokens: tokens, max_seconds: seconds } = order.budget;
  const names = new Set([...(await evidence.names()), LAST_RUN, MANIFEST]);
  const wave = await countProductPullRequests(fleet, product);
  const { killSwitch } = product;
  return {
    schema_version: 1,
    product_id: product.id,
    run_id: run.id,
    started_at: run.startedAt.toISOString(),
    ended_at: state.status === "in_progress" ? null : fleet.clock().toISOString(),
    status: state.status,
    summary: state.sentence.slice(0, 2_000),
    evidence: { paths: [...names].toSorted().map((name) => `${run.id}/${name}`) },
    economy: {
      budget_tokens: tokens ?? null,
      spent_tokens: 0,
      budget_minutes: seconds === undefined ? null : minutes(seconds),
      spent_minutes: minutes(state.seconds),
      max_heal_attempts: HEALABLE_INTENTS.includes(order.intent) ? MAX_HEAL_ATTEMPTS : 0,
      heal_attempts_used: order.attempt,
    },
    kill_switch: {
      enabled: state.stopped !== undefined || killSwitch.enabled,
      reason: state.stopped ?? killSwitch.reason,
    },
    pr_wave: {
      state: wave.open > 0 ? "open" : "idle",
      open_prs: wave.open,
      last_update: wave.lastUpdate?.toISOString() ?? null,
    },
  };
}

function minutes(seconds: number): number {
  return Math.round((seconds / 60) * 1_000) / 1_000;
}

function jsonText(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

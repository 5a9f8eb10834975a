/** The intents validate and test: they run the product's own commands on a fresh copy of its base branch. */
import { NO_SPEND, toActions, supportsIntent, parseRunSummary, type RunSpend } from "../../../domain/orders/run.ts";
import { unixUserOf } from "../../../domain/tenant.ts";
import { executeActions, type ExecutionResult } from "../../../runs/execute.ts";
import { listRunsOfOrder } from "../../../store/runs.ts";
import type { Fleet } from "../../fleet.ts";
import type { ExecuteIntent, IntentContext, IntentOutcome } from "./intent.ts";

export const runCommands: ExecuteIntent = async (context) => {
  const { fleet, order, run, product, evidence, signal } = context;
  if (!supportsIntent(order.intent, product)) {
    const message = `product ${product.id} has no ${order.intent} command in fleet.yaml`;
    return { ok: false, exitCode: null, failure: "no_command", message };
  }
  const forge = fleet.forges.of(product.repository);
  const repository = await forge.ensure(product.repository);
  const headSha = await forge.headOf(repository, product.baseBranch);
  const before = await spentBefore(fleet, order.id, run.id);
  const executed = await executeActions({
    home: fleet.home,
    runId: run.id,
    gitDir: repository.gitDir,
    headSha,
    unixUser: unixUserOf(fleet.settings, order.tenantId),
    actions: toActions(order.intent, product),
    budget: order.budget,
    spentBefore: before,
    timeoutMs: product.ci.timeoutMinutes * 60_000,
    transient: product.transient,
    artifactPaths: product.evidence.filter((one) => one.of === order.intent).map(({ path }) => path),
    evidence,
    env: { FLEET_PRODUCT: product.id, FLEET_ORDER: order.id, FLEET_INTENT: order.intent },
    signal,
  });
  return toOutcome(context, executed, headSha);
};

/** Seconds and output of earlier tries, since all tries of an order share one budget. */
async function spentBefore(fleet: Fleet, orderId: string, runId: string): Promise<RunSpend> {
  const runs = await fleet.store.asSystem((tx) => listRunsOfOrder(tx, orderId));
  let sum = NO_SPEND;
  for (const { spent } of runs.filter(({ id }) => id !== runId).map(({ summary }) => parseRunSummary(summary))) {
    if (!spent) continue;
    sum = { actions: 0, seconds: sum.seconds + spent.seconds, outputBytes: sum.outputBytes + spent.outputBytes };
  }
  return sum;
}

function toOutcome({ order }: IntentContext, executed: ExecutionResult, headSha: string): IntentOutcome {
  const { steps, spent, failed, tests, notKept } = executed;
  const summary = {
    steps,
    spent,
    ...(tests ? { tests } : {}),
    ...(notKept.length > 0 ? { notKept } : {}),
  };
  const failedTests =
    tests && tests.failed + tests.errors > 0 ? `; ${tests.failed + tests.errors} of ${tests.total} tests failed` : "";
  const exitCode = steps.at(-1)?.exitCode ?? null;
  if (failed) {
    const { failure, transient, message } = failed;
    return { ok: false, exitCode, failure, transient, message: `${message}${failedTests}`, summary, headSha };
  }
  const counted = tests ? `: ${tests.passed} of ${tests.total} tests passed` : "";
  return { ok: true, exitCode, message: `${order.intent} succeeded${counted}`, summary, headSha };
}

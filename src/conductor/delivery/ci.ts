/** Checks of pull requests of the local forge: asked for by the monitor, run by one worker, settled with the task. */
import { join } from "node:path";
import type { TaskJob } from "../../../queues/task-job.ts";
import { FleetError } from "../../domain/errors.ts";
import { killSwitchOnRow } from "../../domain/task/kill-switch.ts";
import { findProduct } from "../../domain/settings/settings.ts";
import type { Task } from "../../domain/task/task.ts";
import { unixUserOf } from "../../domain/tenant.ts";
import { runChecks } from "../../forge/checks.ts";
import { claimCiRun, ensureCiRun, renewCiRunLease, releaseCiRun, settleCiRun } from "../../store/ci-runs.ts";
import { findTaskAtEpoch } from "../../store/tasks.ts";
import { transitionTask } from "../../store/transitions.ts";
import type { Fleet } from "../fleet.ts";
import { autoRenewLease } from "../lease.ts";
import { buildTransition } from "../tasks/transition.ts";

/** Renewed at a third; short, because a dead worker's job is done again only when its lease is over. */
const LEASE_MS = 5_000;

/** Asks for the checks of a head. The epoch rises, so that a job about the head before is a no-op. */
export async function startCi(fleet: Fleet, task: Task, headSha: string): Promise<Task> {
  const moved = await fleet.store.asSystem(async (tx) => {
    await ensureCiRun(tx, fleet.newId(), { ...task, taskId: task.id }, headSha);
    return transitionTask(
      tx,
      buildTransition(fleet, {
        task,
        takeOver: true,
        actor: fleet.worker,
        action: "ci.asked",
        detail: { headSha },
        patch: { ciStatus: "pending", headSha },
        next: { queue: "ci" },
      }),
    );
  });
  fleet.kickRelay();
  return moved;
}

/** Answers a ci job. Undefined when the task has moved on or another worker runs these checks. */
export async function runCi(fleet: Fleet, job: TaskJob, signal: AbortSignal): Promise<Task | undefined> {
  const claimed = await fleet.store.asSystem(async (tx) => {
    const task = await findTaskAtEpoch(tx, job);
    if (!task?.headSha || task.waitingFor !== "ci" || killSwitchOnRow(task)) return undefined;
    const run = await claimCiRun(tx, {
      taskId: task.id,
      headSha: task.headSha,
      worker: fleet.worker,
      leaseMs: LEASE_MS,
    });
    return run && { task, run };
  });
  if (!claimed) return undefined;
  const { task, run } = claimed;
  const product = findProduct(fleet.settings, task.repository);
  if (!product) throw new FleetError("not-found", `${task.repository} is no product of fleet.yaml any more.`);

  const lease = autoRenewLease(signal, LEASE_MS, () =>
    fleet.store.asSystem((tx) => renewCiRunLease(tx, run.id, fleet.worker, LEASE_MS)),
  );
  try {
    const { gitDir } = await fleet.forge.ensure(task.repository);
    const result = await runChecks({
      home: fleet.home,
      runId: `ci-${run.id}`,
      gitDir,
      headSha: run.headSha,
      unixUser: unixUserOf(fleet.settings, task.tenantId),
      commands: product.commands,
      timeoutMs: product.ci.timeoutMinutes * 60_000,
      logPath: join(fleet.home, "ci", task.id, `${run.headSha}.log`),
      redactor: fleet.redactor,
      signal: lease.signal,
    });
    lease.assertHeld();
    await fleet.faultPoint("ci:before", task.id);
    const settled = await fleet.store.asSystem(async (tx) => {
      const mine = await settleCiRun(tx, { id: run.id, worker: fleet.worker }, result);
      const current = await findTaskAtEpoch(tx, job);
      if (!mine || !current) return undefined;
      const ciStatus = result.status === "passing" ? "passing" : "failing";
      return transitionTask(
        tx,
        buildTransition(fleet, {
          task: current,
          actor: fleet.worker,
          action: `ci.${result.status}`,
          detail: { headSha: run.headSha, reason: result.reason, durationMs: result.durationMs },
          patch: { ciStatus, waitingFor: null },
        }),
      );
    });
    await fleet.faultPoint("ci:after", task.id);
    return settled;
  } catch (error) {
    await fleet.store.asSystem((tx) => releaseCiRun(tx, run.id, fleet.worker));
    throw error;
  } finally {
    lease.stop();
  }
}

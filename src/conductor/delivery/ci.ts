/** Checks of pull requests: requested by the monitor, made by one worker through the forge, settled with the task. */
import { join } from "node:path";
import type { TaskJob } from "../../../queues/task-job.ts";
import { killSwitchOnRow } from "../../domain/task/kill-switch.ts";
import { findProduct } from "../../domain/settings/settings.ts";
import type { Task } from "../../domain/task/task.ts";
import { unixUserOf } from "../../domain/tenant.ts";
import { claimCiRun, ensureCiRun, renewCiRunLease, releaseCiRun, settleCiRun } from "../../store/ci-runs.ts";
import { findTaskAtEpoch } from "../../store/tasks.ts";
import { transitionTask } from "../../store/transitions.ts";
import type { Fleet } from "../fleet.ts";
import { withLease } from "../lease.ts";
import { buildTransition } from "../tasks/transition.ts";

/** Renewed at a third of it. Short, because the job of a dead worker is repeated only when the lease has expired. */
const LEASE_MS = 5_000;

/** Requests the checks of a head. The epoch rises, so that a job for the previous head does nothing. */
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

/** Handles a ci job. Undefined when the task has moved on or another worker runs these checks. */
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
  const claim = {
    signal,
    leaseMs: LEASE_MS,
    renew: () => fleet.store.asSystem((tx) => renewCiRunLease(tx, run.id, fleet.worker, LEASE_MS)),
    release: () => fleet.store.asSystem((tx) => releaseCiRun(tx, run.id, fleet.worker)),
  };
  return withLease(claim, async (lease) => {
    const forge = fleet.forges.of(task.repository);
    const result = await forge.checkHead(await forge.ensure(task.repository), {
      product: findProduct(fleet.settings, task.repository),
      headSha: run.headSha,
      runId: `ci-${run.id}`,
      unixUser: unixUserOf(fleet.settings, task.tenantId),
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
  });
}

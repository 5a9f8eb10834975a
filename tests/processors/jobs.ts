/** What every processor must do for its queue: it refuses a malformed job, once and visibly. */
import { randomUUID } from "node:crypto";
import { expect } from "vitest";
import type { Processor } from "../../processors/define.ts";
import { FleetError } from "../../src/domain/errors.ts";
import type { TestFleet } from "../support/fleet.ts";
import { eventually } from "../support/eventually.ts";

export const signal = new AbortController().signal;

/** Refused with the name of the wrong field, and as not retryable. */
export async function expectRefusal({ fleet }: TestFleet, processor: Processor, payload: unknown, field: string) {
  const refusal = await processor.handle(fleet, payload, signal).catch((error: unknown) => error);

  expect(refusal).toBeInstanceOf(FleetError);
  expect(refusal).toMatchObject({ code: "invalid-input", failure: { retry: false } });
  expect(String(refusal)).toContain(field);
}

/** On a real queue without the broker's own validation, like a job of another version of Fleetwright. */
export async function failedJob(fleet: TestFleet, { queue, handle }: Processor, data: object) {
  const [bull] = fleet.fleet.broker.bullQueues([queue]);
  const jobId = `odd_${randomUUID()}`;
  await bull?.add(queue.name, data, { jobId, attempts: 5, backoff: 10 });
  await fleet.fleet.broker.consume(queue, (payload, aborted) => handle(fleet.fleet, payload, aborted));
  return eventually(async () => {
    const job = await bull?.getJob(jobId);
    return job?.failedReason
      ? { reason: job.failedReason, tries: job.attemptsMade, state: await job.getState() }
      : undefined;
  });
}

/** A task in `status`, and a job for it with the previous epoch. */
export async function aStaleJob(fleet: TestFleet, script = "succeed") {
  const by = await fleet.operator();
  const task = await fleet.spawn(by, { repository: await fleet.aRepository(), script });
  const ready = await fleet.runUntil(task.id, "ready");
  return { task: ready, job: { taskId: ready.id, epoch: ready.epoch - 1 } };
}

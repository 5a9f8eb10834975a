/** review: each job settles one reviewer's verdict, however often it is delivered. */
import { expect, test } from "vitest";
import { reviewProcessor } from "../../processors/review.ts";
import { aStaleJob, expectRefusal, signal } from "./jobs.ts";
import { testFleet } from "../support/fleet.ts";

test("a job of another epoch runs no reviewer, and a malformed one is refused", async () => {
  await using fleet = await testFleet();
  const { task, job } = await aStaleJob(fleet);
  const [review] = await fleet.query("select id, ended_at from reviews");
  const payload = { ...job, reviewId: String(review?.["id"]) };

  await reviewProcessor.handle(fleet.fleet, payload, signal);
  await reviewProcessor.handle(fleet.fleet, { ...payload, epoch: task.epoch }, signal);

  expect(await fleet.read(task.id)).toEqual(task);
  expect(await fleet.query("select id, ended_at from reviews")).toEqual([review]);
  await expectRefusal(fleet, reviewProcessor, job, "reviewId");
});

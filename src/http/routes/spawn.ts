/** POST /spawn: requesting a task. */
import type { Fleet } from "../../conductor/fleet.ts";
import { assertAgentSupported, requestSpawn } from "../../conductor/attempts/spawn.ts";
import { SpawnRequest } from "../../domain/task/spawn.ts";
import { TaskView, viewTask } from "../../views/task.ts";
import { defineRoute } from "../route.ts";

export const spawnRoute = defineRoute(
  {
    method: "post",
    path: "/api/fleet/spawn",
    tier: "builder",
    idempotent: true,
    summary: "Request a task",
    description:
      "The task is `proposed` when this returns; a host starts it from there. With an `Idempotency-Key` the same request returns the same task.",
    body: SpawnRequest,
    reply: TaskView,
    statuses: { 201: "a new task", 200: "the task that an earlier request with this key created" },
    errors: ["spawn-denied", "cap-reached", "product-stopped", "stopped", "idempotency-key-reused", "not-supported"],
  },
  async (fleet: Fleet, { operator, body, idempotencyKey }) => {
    assertAgentSupported(body);
    const { task, repeated } = await requestSpawn(fleet, operator, body, idempotencyKey);
    return { status: repeated ? 200 : 201, body: viewTask(task) };
  },
);

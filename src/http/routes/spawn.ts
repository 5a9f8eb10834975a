/** POST /spawn: how the API asks for a task. */
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
    summary: "Ask for a task",
    description:
      "The task is `proposed` when this answers; a host takes it from there. With an `Idempotency-Key` the same request gives the same task.",
    body: SpawnRequest,
    reply: TaskView,
    statuses: { 201: "a new task", 200: "the key came with this request before: the task it made" },
    errors: ["spawn-denied", "cap-reached", "product-stopped", "stopped", "idempotency-key-reused", "not-supported"],
  },
  async (fleet: Fleet, { operator, body, idempotencyKey }) => {
    assertAgentSupported(body);
    const { task, repeated } = await requestSpawn(fleet, operator, body, idempotencyKey);
    return { status: repeated ? 200 : 201, body: viewTask(task) };
  },
);

/** Observe → decide: what to do about one live task, given what was seen of it. Total: it answers for any combination of facts. */
import type { Decision, MonitoredTask, TaskFacts } from "./decision.ts";
import type { MonitorPolicy } from "../settings/monitor.ts";
import { killSwitchOnRow } from "../task/kill-switch.ts";
import { decideRunning, decideSpawning, type MonitorInput } from "./decide-agent.ts";
import { decidePrCreated, decideReady, decideReviewing } from "./decide-pull-request.ts";
import type { TaskStatus } from "../task/task.ts";

/** Statuses that are not here move by jobs and people alone; facts say nothing about them. */
const RULES: Readonly<Partial<Record<TaskStatus, (look: MonitorInput) => Decision[]>>> = {
  spawning: decideSpawning,
  running: decideRunning,
  pr_created: decidePrCreated,
  reviewing: decideReviewing,
  ready: decideReady,
};

/** Nothing to do is an empty list. A decision is repeated as long as its facts are: acting on it twice must do nothing twice. */
export function decideTask(task: MonitoredTask, facts: TaskFacts, policy: MonitorPolicy, now: Date): Decision[] {
  // Frozen on purpose: whatever is seen of it says nothing until it is released.
  if (killSwitchOnRow(task)) return [];
  return RULES[task.status]?.({ task, facts, policy, now }) ?? [];
}

/** Decides what to do about one live task, given the observed facts. It is a total function: any combination of facts has an answer. */
import type { Decision, MonitoredTask, TaskFacts } from "./decision.ts";
import type { MonitorPolicy } from "../settings/monitor.ts";
import { killSwitchOnRow } from "../task/kill-switch.ts";
import { decideRunning, decideSpawning, type MonitorInput } from "./decide-agent.ts";
import { decidePrCreated, decideReady, decideReviewing } from "./decide-pull-request.ts";
import type { TaskStatus } from "../task/task.ts";

/** Statuses that are missing here change only through jobs and people, not through observed facts. */
const RULES: Readonly<Partial<Record<TaskStatus, (input: MonitorInput) => Decision[]>>> = {
  spawning: decideSpawning,
  running: decideRunning,
  pr_created: decidePrCreated,
  reviewing: decideReviewing,
  ready: decideReady,
};

/** Nothing to do is an empty list. A decision is repeated as long as its facts are: acting on it twice must do nothing twice. */
export function decideTask(task: MonitoredTask, facts: TaskFacts, policy: MonitorPolicy, now: Date): Decision[] {
  // A kill switch holds the task: what is observed of it means nothing until it is released.
  if (killSwitchOnRow(task)) return [];
  return RULES[task.status]?.({ task, facts, policy, now }) ?? [];
}

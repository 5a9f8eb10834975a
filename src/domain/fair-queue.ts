/** Fair scheduling when host slots are scarce: the tenant served longest ago is next, within it the operator served longest ago, within that the oldest task. */

/** A task that waits for a host, with the turn in which its tenant and its operator were last served; 0 means never. */
export interface WaitingTask {
  readonly id: string;
  readonly tenantId: string;
  readonly operatorId: string;
  readonly createdAt: Date;
  readonly tenantServed: number;
  readonly operatorServed: number;
  /** It was dispatched before and found its slot taken, so it goes first. */
  readonly isCalledAgain: boolean;
}

interface OperatorQueue {
  served: number;
  /** Ordered by age, oldest first. */
  readonly tasks: readonly WaitingTask[];
  /** The index of the first task that was not dispatched yet. */
  next: number;
}

interface TenantQueue {
  served: number;
  readonly operators: readonly OperatorQueue[];
}

/** The next ones in the order in which they are called; at most `most`. An owner that is called goes to the end of their line. */
export function nextInLine(waiting: readonly WaitingTask[], limit: number): WaitingTask[] {
  const called = waiting
    .filter(({ isCalledAgain }) => isCalledAgain)
    .toSorted(compareByAge)
    .slice(0, limit);
  const tenants = groupByTenant(waiting.filter(({ isCalledAgain }) => !isCalledAgain));
  let now = waiting.reduce((last, { tenantServed, operatorServed }) => Math.max(last, tenantServed, operatorServed), 0);
  while (called.length < limit) {
    const tenant = longestWaiting(tenants, ({ operators }) => longestWaiting(operators, nextTask));
    const operator = tenant && longestWaiting(tenant.operators, nextTask);
    const task = operator && nextTask(operator);
    if (!task) break;
    called.push(task);
    operator.next += 1;
    now += 1;
    tenant.served = now;
    operator.served = now;
  }
  return called;
}

function groupByTenant(waiting: readonly WaitingTask[]): TenantQueue[] {
  return groupBy(waiting.toSorted(compareByAge), ({ tenantId }) => tenantId).map((ofTenant) => ({
    served: ofTenant[0]?.tenantServed ?? 0,
    operators: groupBy(ofTenant, ({ operatorId }) => operatorId).map((tasks) => ({
      served: tasks[0]?.operatorServed ?? 0,
      tasks,
      next: 0,
    })),
  }));
}

/** Groups appear in the order of their first task. */
function groupBy(tasks: readonly WaitingTask[], by: (task: WaitingTask) => string): WaitingTask[][] {
  const groups = new Map<string, WaitingTask[]>();
  for (const task of tasks) {
    const group = groups.get(by(task));
    if (group) group.push(task);
    else groups.set(by(task), [task]);
  }
  return [...groups.values()];
}

/** Returns the entry served longest ago that has a task left; of several never served, the first, because its task is the oldest. */
function longestWaiting<One extends { readonly served: number }>(
  all: readonly One[],
  head: (one: One) => unknown,
): One | undefined {
  let best: One | undefined;
  for (const one of all) if ((!best || one.served < best.served) && head(one) !== undefined) best = one;
  return best;
}

function nextTask({ tasks, next }: OperatorQueue): WaitingTask | undefined {
  return tasks[next];
}

function compareByAge(one: WaitingTask, other: WaitingTask): number {
  return one.createdAt.getTime() - other.createdAt.getTime() || (one.id < other.id ? -1 : 1);
}

/** Who is next when hosts are short: the tenant that was served longest ago, within it the operator, within that the oldest task. */

/** A task that waits for a host, with when its tenant and its operator were last served; 0 is never. */
export interface InLine {
  readonly id: string;
  readonly tenantId: string;
  readonly operatorId: string;
  readonly createdAt: Date;
  readonly tenantServed: number;
  readonly operatorServed: number;
  /** It was called already, and the slot was gone: it keeps its turn. */
  readonly isCalledAgain: boolean;
}

interface Operator {
  served: number;
  /** Oldest first; `next` is the first that was not called. */
  readonly tasks: readonly InLine[];
  next: number;
}

interface Tenant {
  served: number;
  readonly operators: readonly Operator[];
}

/** The next ones in the order in which they are called; at most `most`. Whoever is called goes to the end of their line. */
export function inTurn(waiting: readonly InLine[], most: number): InLine[] {
  const called = waiting
    .filter(({ isCalledAgain }) => isCalledAgain)
    .toSorted(older)
    .slice(0, most);
  const tenants = tenantsOf(waiting.filter(({ isCalledAgain }) => !isCalledAgain));
  let now = waiting.reduce((last, { tenantServed, operatorServed }) => Math.max(last, tenantServed, operatorServed), 0);
  while (called.length < most) {
    const tenant = longestWaiting(tenants, ({ operators }) => longestWaiting(operators, headOf));
    const operator = tenant && longestWaiting(tenant.operators, headOf);
    const task = operator && headOf(operator);
    if (!task) break;
    called.push(task);
    operator.next += 1;
    now += 1;
    tenant.served = now;
    operator.served = now;
  }
  return called;
}

function tenantsOf(waiting: readonly InLine[]): Tenant[] {
  return groupsOf(waiting.toSorted(older), ({ tenantId }) => tenantId).map((ofTenant) => ({
    served: ofTenant[0]?.tenantServed ?? 0,
    operators: groupsOf(ofTenant, ({ operatorId }) => operatorId).map((tasks) => ({
      served: tasks[0]?.operatorServed ?? 0,
      tasks,
      next: 0,
    })),
  }));
}

/** In the order of their first. */
function groupsOf(tasks: readonly InLine[], by: (task: InLine) => string): InLine[][] {
  const groups = new Map<string, InLine[]>();
  for (const task of tasks) {
    const group = groups.get(by(task));
    if (group) group.push(task);
    else groups.set(by(task), [task]);
  }
  return [...groups.values()];
}

/** Among those who have anything left; of those served at the same time (never), the first, whose task was the oldest. */
function longestWaiting<One extends { readonly served: number }>(
  all: readonly One[],
  head: (one: One) => unknown,
): One | undefined {
  let best: One | undefined;
  for (const one of all) if ((!best || one.served < best.served) && head(one) !== undefined) best = one;
  return best;
}

function headOf({ tasks, next }: Operator): InLine | undefined {
  return tasks[next];
}

function older(one: InLine, other: InLine): number {
  return one.createdAt.getTime() - other.createdAt.getTime() || (one.id < other.id ? -1 : 1);
}

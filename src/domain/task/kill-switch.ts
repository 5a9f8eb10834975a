/** Kill switches: which active switch applies to a task or an order, and what it means for it. */
import { z } from "zod";
import { Condition, isTerminal, type TaskStatus } from "./task.ts";

/** The scopes, ordered from the narrowest to the widest. */
export const EstopScope = z.enum(["agent", "product", "tenant", "fleet"]);
export type EstopScope = z.infer<typeof EstopScope>;

/** The modes, ordered from the mildest to the strictest. All prevent new work; freeze also pauses running work, and abort stops it. */
export const EstopMode = z.enum(["park", "freeze", "abort"]);
export type EstopMode = z.infer<typeof EstopMode>;

/** Stands for all tenants; no tenant may have this name. */
export const FLEET_WIDE = "*";

/** What a switch applies to. `subject` is the id of the task, the product or the tenant. */
export interface EstopTarget {
  readonly tenantId: string;
  readonly scope: EstopScope;
  readonly subject: string;
}

export interface EstopSwitch extends EstopTarget {
  readonly mode: EstopMode;
  readonly reason: string;
  /** Ends running orders and skips pending ones even in mode `park`, as `fleet products kill` does. */
  readonly endsOrders: boolean;
  /** The operator who set it; null when it is set in fleet.yaml. */
  readonly operatorId: string | null;
  readonly at: Date | null;
}

/** The task or order for which the switches are checked. */
export interface EstopSubject {
  readonly tenantId: string;
  readonly taskId?: string | undefined;
  /** The products of its repository. */
  readonly productIds: readonly string[];
}

/** Returns the strictest switch that applies; of equally strict ones the widest, because that is released last. */
export function killSwitchOn<Switch extends EstopSwitch>(
  switches: readonly Switch[],
  subject: EstopSubject,
): Switch | undefined {
  let hold: Switch | undefined;
  for (const one of switches) if (appliesTo(one, subject) && (!hold || outweighs(one, hold))) hold = one;
  return hold;
}

export function appliesTo({ scope, tenantId, subject: name }: EstopTarget, subject: EstopSubject): boolean {
  if (scope === "fleet") return true;
  if (tenantId !== subject.tenantId) return false;
  if (scope === "tenant") return true;
  return scope === "product" ? subject.productIds.includes(name) : name === subject.taskId;
}

function outweighs(one: EstopSwitch, other: EstopSwitch): boolean {
  const byMode = EstopMode.options.indexOf(one.mode) - EstopMode.options.indexOf(other.mode);
  if (byMode !== 0) return byMode > 0;
  // A switch in fleet.yaml wins, because only editing that file releases it.
  if ((one.operatorId === null) !== (other.operatorId === null)) return one.operatorId === null;
  return EstopScope.options.indexOf(one.scope) > EstopScope.options.indexOf(other.scope);
}

/** The switch that holds a task, as recorded in its row next to condition `paused`. */
export const EstopHold = z.object({
  scope: EstopScope,
  subject: z.string(),
  mode: EstopMode,
  reason: z.string(),
  by: z.string(),
});
export type EstopHold = z.infer<typeof EstopHold>;

const HoldDetail = z.object({
  estop: EstopHold,
  /** The condition before the freeze, which is restored on release. */
  was: z.object({ condition: Condition, detail: z.record(z.string(), z.unknown()).nullable() }).optional(),
});

type TaskHold = z.infer<typeof HoldDetail>;

/** Returns the hold recorded in the task's row; undefined when there is none. */
export function killSwitchOnRow(task: {
  readonly condition: Condition;
  readonly conditionDetail: Readonly<Record<string, unknown>> | null;
}): TaskHold | undefined {
  return task.condition === "paused" ? HoldDetail.safeParse(task.conditionDetail).data : undefined;
}

export function holdDetail({ scope, subject, mode, reason, operatorId }: EstopSwitch): EstopHold {
  return { scope, subject, mode, reason, by: operatorId ?? "fleet.yaml" };
}

/** In these statuses an agent may be running. */
const LIVE_STATUSES: ReadonlySet<TaskStatus> = new Set<TaskStatus>(["spawning", "running", "pr_created", "reviewing"]);

export interface HeldTask {
  readonly status: TaskStatus;
  /** Its row says that a switch holds it. */
  readonly isHeld: boolean;
}

/**
 * pause: stop its processes and record the hold. resume: undo both. stop: cancel the task. wait: nothing is running, and
 * nothing may start. nothing: leave it as it is.
 */
export type EstopDecision = "pause" | "resume" | "stop" | "wait" | "nothing";

/** Decides what a switch means for a task. It is decided again at every check, so acting on it must be idempotent. */
export function decideEstop({ status, isHeld }: HeldTask, hold: EstopSwitch | undefined): EstopDecision {
  if (isTerminal(status)) return "nothing";
  if (!hold) return isHeld ? "resume" : "nothing";
  if (LIVE_STATUSES.has(status)) {
    if (hold.mode === "abort") return "stop";
    if (hold.mode === "freeze") return "pause";
    // park lets running work finish.
    return isHeld ? "resume" : "nothing";
  }
  // Aborting a single task also cancels it while it waits; aborting a wider scope leaves waiting tasks waiting.
  if (hold.mode === "abort" && hold.scope === "agent" && status !== "ready") return "stop";
  return isHeld ? "wait" : "nothing";
}

/**
 * skip: it is over, done or not. wait: it is not begun. give_back: it is ended, and started over after the release. finish: it
 * may end what it does.
 */
export type OrderDecision =
  { readonly do: "go" } | { readonly do: "skip" | "wait" | "give_back" | "finish"; readonly hold: EstopSwitch };

export function decideOrder(
  order: { readonly isRunning: boolean },
  switches: readonly EstopSwitch[],
  subject: EstopSubject,
): OrderDecision {
  const applicable = switches.filter((one) => appliesTo(one, subject));
  const endingSwitch = killSwitchOn(
    applicable.filter(({ endsOrders, mode }) => endsOrders || (order.isRunning && mode === "abort")),
    subject,
  );
  if (endingSwitch) return { do: "skip", hold: endingSwitch };
  const hold = killSwitchOn(applicable, subject);
  if (!hold) return { do: "go" };
  if (!order.isRunning) return { do: "wait", hold };
  return { do: hold.mode === "freeze" ? "give_back" : "finish", hold };
}

/** Describes a target for people: `tenant acme`, `the whole fleet`. */
export function describeTarget({ scope, subject }: Pick<EstopTarget, "scope" | "subject">): string {
  return scope === "fleet" ? "the whole fleet" : `${scope} ${scope === "agent" ? subject.slice(-8) : subject}`;
}

const MODE_LABELS: Readonly<Record<EstopMode, string>> = { park: "parked", freeze: "frozen", abort: "aborted" };

export function describeHold({ scope, subject, mode, reason }: Omit<EstopHold, "by">): string {
  return `${describeTarget({ scope, subject })} is ${MODE_LABELS[mode]}: ${reason}`;
}

/** Why nothing is planned or run for a product, and who decided that. */
export interface ProductStop {
  readonly by: "fleet.yaml" | "operator";
  readonly reason: string;
  readonly who: string | null;
  readonly at: Date | null;
  /** The scope of the switch: the product itself or something that contains it. */
  readonly scope: EstopScope;
  readonly mode: EstopMode;
}

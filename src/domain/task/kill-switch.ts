/** The kill switch: which of those that are thrown holds something, and what that means for a task, its agent or an order. */
import { z } from "zod";
import { Condition, isTerminal, type TaskStatus } from "./task.ts";

/** From the narrowest to the widest. */
export const EstopScope = z.enum(["agent", "product", "tenant", "fleet"]);
export type EstopScope = z.infer<typeof EstopScope>;

/** From the mildest to the strictest. park: nothing new starts. freeze: and what runs is paused. abort: and what runs is stopped. */
export const EstopMode = z.enum(["park", "freeze", "abort"]);
export type EstopMode = z.infer<typeof EstopMode>;

/** No tenant may be called so. */
export const FLEET_WIDE = "*";

/** What a switch is for: subject is the task, the product or the tenant. */
export interface EstopTarget {
  readonly tenantId: string;
  readonly scope: EstopScope;
  readonly subject: string;
}

export interface EstopSwitch extends EstopTarget {
  readonly mode: EstopMode;
  readonly reason: string;
  /** Also under `park`, orders that run are ended, and those whose turn comes are skipped: `fleet products kill`. */
  readonly endsOrders: boolean;
  /** Null: fleet.yaml itself. */
  readonly operatorId: string | null;
  readonly at: Date | null;
}

/** Of what is asked whether it is held. */
export interface EstopSubject {
  readonly tenantId: string;
  readonly taskId?: string | undefined;
  /** Those that live at its repository. */
  readonly productIds: readonly string[];
}

/** Any that matches holds, and the strictest mode wins; of equals the widest, since that is released last. */
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
  // Released for certain only where it was written.
  if ((one.operatorId === null) !== (other.operatorId === null)) return one.operatorId === null;
  return EstopScope.options.indexOf(one.scope) > EstopScope.options.indexOf(other.scope);
}

/** What a task's row says of the switch that holds it, beside condition `paused`. */
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
  /** What it waited for when it was frozen; it waits for that again afterwards. */
  was: z.object({ condition: Condition, detail: z.record(z.string(), z.unknown()).nullable() }).optional(),
});

type TaskHold = z.infer<typeof HoldDetail>;

/** Undefined: no switch made it wait, as far as its row knows. */
export function killSwitchOnRow(task: {
  readonly condition: Condition;
  readonly conditionDetail: Readonly<Record<string, unknown>> | null;
}): TaskHold | undefined {
  return task.condition === "paused" ? HoldDetail.safeParse(task.conditionDetail).data : undefined;
}

export function holdDetail({ scope, subject, mode, reason, operatorId }: EstopSwitch): EstopHold {
  return { scope, subject, mode, reason, by: operatorId ?? "fleet.yaml" };
}

/** In these an agent may be at work. */
const LIVE_STATUSES: ReadonlySet<TaskStatus> = new Set<TaskStatus>(["spawning", "running", "pr_created", "reviewing"]);

export interface HeldTask {
  readonly status: TaskStatus;
  /** Its row says that a switch holds it. */
  readonly isHeld: boolean;
}

/**
 * pause: its processes are stopped, and its row says so. resume: both undone. stop: the task is cancelled. wait: nothing of it
 * runs, and nothing may be begun. nothing: it goes on as it does.
 */
export type EstopDecision = "pause" | "resume" | "stop" | "wait" | "nothing";

/** Decided again at every look: acting on it twice must do nothing twice. */
export function decideEstop({ status, isHeld }: HeldTask, hold: EstopSwitch | undefined): EstopDecision {
  if (isTerminal(status)) return "nothing";
  if (!hold) return isHeld ? "resume" : "nothing";
  if (LIVE_STATUSES.has(status)) {
    if (hold.mode === "abort") return "stop";
    if (hold.mode === "freeze") return "pause";
    // What runs may end what it does.
    return isHeld ? "resume" : "nothing";
  }
  // Aborting a task by name means it, whatever it waits for; of a tenant's tasks those that wait keep waiting.
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

/** As people read it: `tenant acme`, `the whole fleet`. */
export function describeTarget({ scope, subject }: Pick<EstopTarget, "scope" | "subject">): string {
  return scope === "fleet" ? "the whole fleet" : `${scope} ${scope === "agent" ? subject.slice(-8) : subject}`;
}

const MODE_LABELS: Readonly<Record<EstopMode, string>> = { park: "parked", freeze: "frozen", abort: "aborted" };

export function describeHold({ scope, subject, mode, reason }: Omit<EstopHold, "by">): string {
  return `${describeTarget({ scope, subject })} is ${MODE_LABELS[mode]}: ${reason}`;
}

/** Why nothing is planned or run for a product, and who says so. */
export interface ProductStop {
  readonly by: "fleet.yaml" | "operator";
  readonly reason: string;
  readonly who: string | null;
  readonly at: Date | null;
  /** What was stopped: the product, or something it is part of. */
  readonly scope: EstopScope;
  readonly mode: EstopMode;
}

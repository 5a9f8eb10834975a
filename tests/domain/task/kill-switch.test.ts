/** Which kill switch applies to what, and with which effect. */
import { expect, test } from "vitest";
import {
  decideEstop,
  decideOrder,
  killSwitchOnRow,
  killSwitchOn,
  describeHold,
  EstopMode,
  EstopScope,
  type EstopSwitch,
} from "../../../src/domain/task/kill-switch.ts";
import { TaskStatus } from "../../../src/domain/task/task.ts";

const SUBJECTS: Readonly<Record<EstopScope, string>> = { agent: "task-1", product: "shop", tenant: "acme", fleet: "*" };

function aSwitch(scope: EstopScope, mode: EstopMode = "park", more: Partial<EstopSwitch> = {}): EstopSwitch {
  const tenantId = scope === "fleet" ? "*" : "acme";
  const by = { reason: "smoke", endsOrders: false, operatorId: "ada", at: new Date(0) };
  return { tenantId, scope, subject: SUBJECTS[scope], mode, ...by, ...more };
}

/** As in "tenant freeze". */
function named(words: string): EstopSwitch {
  const [scope, mode] = words.split(" ");
  return aSwitch(EstopScope.parse(scope), EstopMode.parse(mode));
}

const OURS = { tenantId: "acme", taskId: "task-1", productIds: ["shop"] };

test.each([
  ["agent", OURS, true],
  ["agent", { ...OURS, taskId: "task-2" }, false],
  ["agent", { ...OURS, taskId: undefined }, false],
  ["agent", { ...OURS, tenantId: "other" }, false],
  ["product", OURS, true],
  ["product", { ...OURS, productIds: ["books"] }, false],
  ["product", { ...OURS, productIds: ["books", "shop"] }, true],
  ["product", { ...OURS, tenantId: "other" }, false],
  ["tenant", { tenantId: "acme", productIds: [] }, true],
  ["tenant", { ...OURS, tenantId: "other" }, false],
  ["fleet", { tenantId: "other", productIds: [] }, true],
] as const)("a switch of scope %s applies to %j: %s", (scope, subject, holds) => {
  expect(killSwitchOn([aSwitch(scope)], subject) !== undefined).toBe(holds);
});

test.each([
  [["agent park", "fleet freeze", "tenant abort"], "tenant abort"],
  [["tenant freeze", "fleet park"], "tenant freeze"],
  [["fleet park"], "fleet park"],
  [["agent freeze", "product freeze", "tenant freeze"], "tenant freeze"],
  [["product abort", "agent abort"], "product abort"],
  [[], undefined],
] as const)("of %j the strictest applies, and of equals the widest: %s", (names, wanted) => {
  const orders = [names.map(named), names.toReversed().map(named)];
  for (const switches of orders) {
    const hold = killSwitchOn(switches, OURS);
    expect(hold && `${hold.scope} ${hold.mode}`).toBe(wanted);
  }
});

test("a stop in fleet.yaml takes precedence over an equal one by an operator", () => {
  const declared = aSwitch("product", "park", { operatorId: null, at: null });
  expect(killSwitchOn([aSwitch("fleet"), declared], OURS)).toBe(declared);
});

const HOLDS = [
  undefined,
  aSwitch("fleet"),
  aSwitch("tenant", "freeze"),
  aSwitch("tenant", "abort"),
  aSwitch("agent", "abort"),
];

/** For each of HOLDS: a task whose row does not record the hold, and one whose row does. */
const WAITING = ["nothing nothing nothing nothing stop", "resume wait wait wait stop"] as const;
const LIVE = ["nothing nothing pause stop stop", "resume resume pause stop stop"] as const;
const OVER = ["nothing nothing nothing nothing nothing", "nothing nothing nothing nothing nothing"] as const;
const MEANT: Readonly<Record<TaskStatus, readonly [free: string, held: string]>> = {
  proposed: WAITING,
  retrying: WAITING,
  failed: WAITING,
  rejected: WAITING,
  spawning: LIVE,
  running: LIVE,
  pr_created: LIVE,
  reviewing: LIVE,
  // Nothing of it runs, and its delivered work is not discarded.
  ready: ["nothing nothing nothing nothing nothing", "resume wait wait wait wait"],
  merged: OVER,
  abandoned: OVER,
  cancelled: OVER,
};

test.each(TaskStatus.options)(
  "a task that is %s under no switch, park, freeze, abort, and an abort of the task itself",
  (status) => {
    const decided = [false, true].map((isHeld) => HOLDS.map((hold) => decideEstop({ status, isHeld }, hold)).join(" "));
    expect(decided).toEqual(MEANT[status]);
  },
);

test.each([
  ["nothing thrown", false, [], "go"],
  ["parked", false, [aSwitch("tenant")], "wait"],
  ["frozen", false, [aSwitch("fleet", "freeze")], "wait"],
  ["aborted", false, [aSwitch("tenant", "abort")], "wait"],
  ["killed", false, [aSwitch("product", "park", { endsOrders: true })], "skip"],
  [
    "killed, frozen beside",
    false,
    [aSwitch("product", "park", { endsOrders: true }), aSwitch("fleet", "freeze")],
    "skip",
  ],
  ["of another product", false, [aSwitch("product", "abort", { subject: "books" })], "go"],
  ["parked", true, [aSwitch("fleet")], "finish"],
  ["frozen", true, [aSwitch("product", "freeze")], "give_back"],
  ["aborted", true, [aSwitch("fleet", "abort")], "skip"],
  ["killed", true, [aSwitch("product", "park", { endsOrders: true })], "skip"],
] as const)("an order, %s (running: %s)", (_name, isRunning, switches, wanted) => {
  expect(decideOrder({ isRunning }, switches, { tenantId: "acme", productIds: ["shop"] }).do).toBe(wanted);
});

test("a switch holds only a task whose row records it", () => {
  const estop = { scope: "fleet", subject: "*", mode: "freeze", reason: "smoke", by: "ada" } as const;
  expect(killSwitchOnRow({ condition: "paused", conditionDetail: { estop } })?.estop).toEqual(estop);
  expect(killSwitchOnRow({ condition: "paused", conditionDetail: null })).toBeUndefined();
  expect(killSwitchOnRow({ condition: "paused", conditionDetail: { estop: "?" } })).toBeUndefined();
  expect(killSwitchOnRow({ condition: "ok", conditionDetail: { estop } })).toBeUndefined();
});

test("a hold is described by a sentence", () => {
  expect(describeHold(aSwitch("fleet", "freeze"))).toBe("the whole fleet is frozen: smoke");
  expect(describeHold(aSwitch("tenant"))).toBe("tenant acme is parked: smoke");
  expect(describeHold(aSwitch("agent", "abort"))).toBe("agent task-1 is aborted: smoke");
});

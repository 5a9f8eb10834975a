/** Which task is next: tenants take turns, however many tasks one of them has waiting. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { nextInLine, type WaitingTask } from "../../src/domain/fair-queue.ts";

let made = 0;

function waiting(tenantId: string, operatorId: string, more: Partial<WaitingTask> = {}): WaitingTask {
  made += 1;
  const id = String(made).padStart(8, "0");
  return {
    id,
    tenantId,
    operatorId,
    createdAt: new Date(made),
    tenantServed: 0,
    operatorServed: 0,
    isCalledAgain: false,
    ...more,
  };
}

const tenantsOf = (line: readonly WaitingTask[]) => line.map(({ tenantId }) => tenantId);

test("a greedy tenant that came first is served once in a round of ten", () => {
  const greedy = Array.from({ length: 300 }, () => waiting("greedy", "ann"));
  const modest = Array.from({ length: 9 }, (_, n) => waiting(`modest-${n}`, "bob"));

  const called = nextInLine([...greedy, ...modest], 30);

  expect(new Set(tenantsOf(called.slice(0, 10))).size).toBe(10);
  expect(tenantsOf(called.slice(10))).toEqual(Array.from({ length: 20 }, () => "greedy"));
});

test("the tenant that was served longest ago is next, also when asking for one at a time", () => {
  const line = [waiting("a", "x", { tenantServed: 7 }), waiting("b", "x", { tenantServed: 3 }), waiting("c", "x")];

  expect(tenantsOf(nextInLine(line, 3))).toEqual(["c", "b", "a"]);
});

test("within a tenant operators take turns, and each one's oldest task is first", () => {
  const [first, second, third] = [waiting("t", "ann"), waiting("t", "ann"), waiting("t", "bob")];

  expect(nextInLine([second, third, first], 3)).toEqual([first, third, second]);
});

test("an operator who was called and found the slot taken is first, whatever was served meanwhile", () => {
  const again = waiting("a", "x", { tenantServed: 9, isCalledAgain: true });

  expect(nextInLine([waiting("b", "x"), again], 2)[0]).toBe(again);
});

const Line = fc
  .array(
    fc.record({
      tenant: fc.integer({ min: 0, max: 4 }),
      operator: fc.integer({ min: 0, max: 2 }),
      at: fc.integer({ min: 0, max: 50 }),
    }),
    { maxLength: 60 },
  )
  .map((asked) =>
    asked.map(({ tenant, operator, at }) => waiting(`t${tenant}`, `o${operator}`, { createdAt: new Date(at) })),
  );

test("no task is forgotten or called twice, and no tenant is called again before every other waiting one", () => {
  fc.assert(
    fc.property(Line, fc.integer({ min: 0, max: 70 }), (line, most) => {
      const called = nextInLine(line, most);

      expect(called).toHaveLength(Math.min(most, line.length));
      expect(new Set(called).size).toBe(called.length);
      for (const [at, { tenantId }] of called.entries()) {
        const again = called.findIndex((one, later) => later > at && one.tenantId === tenantId);
        if (again < 0) continue;
        const left = new Set(tenantsOf(line.filter((one) => !called.slice(0, at + 1).includes(one))));
        expect(new Set(tenantsOf(called.slice(at + 1, again + 1)))).toEqual(left);
      }
    }),
  );
});

function serve(one: WaitingTask, next: WaitingTask, served: number): WaitingTask {
  if (one.tenantId !== next.tenantId) return one;
  const operatorServed = one.operatorId === next.operatorId ? served : one.operatorServed;
  return { ...one, tenantServed: served, operatorServed };
}

test("calling one at a time, with the served ones recorded, is the same as calling all at once", () => {
  fc.assert(
    fc.property(Line, (line) => {
      const atOnce = nextInLine(line, line.length).map(({ id }) => id);
      let left: WaitingTask[] = [...line];
      const oneByOne: string[] = [];
      for (let served = 1; left.length > 0; served += 1) {
        const [next] = nextInLine(left, 1);
        if (!next) break;
        oneByOne.push(next.id);
        left = left.filter(({ id }) => id !== next.id).map((one) => serve(one, next, served));
      }
      expect(oneByOne).toEqual(atOnce);
    }),
  );
});

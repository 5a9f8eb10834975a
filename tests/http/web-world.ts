/** A listening web process with two tasks, and operators of every kind to call it. */
import { z } from "zod";
import { makePlan } from "../../src/conductor/planner/plan.ts";
import type { Operator } from "../../src/domain/operator.ts";
import { startWeb } from "../../src/processes/web.ts";
import { addProduct } from "../support/factory.ts";
import { testFleet } from "../support/fleet.ts";
import { aProduct, requestOrders, carryOut, runsOfOrder } from "../support/orders.ts";

export interface AskOptions {
  readonly method?: string;
  readonly by?: Operator | undefined;
  readonly body?: unknown;
  /** Sent as it is, instead of a JSON body. */
  readonly text?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

export type WebWorld = Awaited<ReturnType<typeof aWebWorld>>;

export async function aWebWorld() {
  const fleet = await testFleet();
  const web = await startWeb(fleet.open, fleet.config, { relays: false });
  const ada = await fleet.operator();
  const { tenantId } = ada;
  const repository = await fleet.aRepository();
  const first = await fleet.spawn(ada, { repository });
  const second = await fleet.spawn(ada, { repository, script: "hang" });
  addProduct(fleet, ada, { id: "shop" });
  const { id: product } = await aProduct(fleet, ada);
  const [order] = await requestOrders(fleet, ada, { product_id: product, intent: "test" });
  if (order) await carryOut(fleet, order);
  const [run] = order ? await runsOfOrder(fleet, order) : [];
  const { plan } = await makePlan(fleet.fleet, ada, { wanted: 1, source: "state" });

  async function ask(path: string, { method = "GET", by = ada, body, text, headers = {}, signal }: AskOptions = {}) {
    const token = await web.issueFor(by, 60_000);
    return fetch(new URL(`/api/fleet${path}`, web.url), {
      method,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json", ...headers },
      ...(body === undefined && text === undefined ? {} : { body: text ?? JSON.stringify(body) }),
      ...(signal ? { signal } : {}),
    });
  }

  return {
    fleet,
    web,
    repository,
    ada,
    /** An owner of ada's tenant, one of another tenant, an admin, and an observer. */
    bob: await fleet.operator({ tenantId }),
    eve: await fleet.operator(),
    root: await fleet.operator({ role: "admin" }),
    otto: await fleet.operator({ tenantId, tier: "observer" }),
    ready: await fleet.runUntil(first.id, "ready"),
    running: await fleet.runUntil(second.id, "running"),
    /** Values for `:product`, `:plan` and so on in paths: ada's own. */
    names: {
      product: "shop",
      plan: plan.plan_id,
      order: order?.id ?? "",
      run: run?.id ?? "",
      name: "output.log",
    },
    ask,
    /** The status and, for a refusal, its error name, which must match each other. */
    async outcome(path: string, asking: AskOptions = {}): Promise<[status: number, body: unknown]> {
      const response = await ask(path, asking);
      const body: unknown = await response.json();
      const name = z.looseObject({ type: z.string() }).safeParse(body).data?.type.split(/[:/#]/).at(-1);
      return [response.status, response.status >= 400 ? name : body];
    },
    async close() {
      await web.close();
      await fleet[Symbol.asyncDispose]();
    },
  };
}

/** The ids of a page of tasks, and the cursor of the next one. */
export const TaskIds = z.object({ items: z.array(z.object({ id: z.string() })), nextCursor: z.string().nullable() });
export const TaskId = z.object({ id: z.string() });

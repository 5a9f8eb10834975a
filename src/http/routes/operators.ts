/** /operators: the operators of all tenants, and the highest tier and role that their tokens may claim. */
import { z } from "zod";
import type { Fleet } from "../../conductor/fleet.ts";
import { disableOperator, enableOperator, listOperatorsFor, setOperator } from "../../conductor/access/operators.ts";
import { OwnerName } from "../../domain/operator.ts";
import { PageQuery, pageOf } from "../../views/page.ts";
import { OperatorChange, OperatorView, viewOperator } from "../../views/token.ts";
import { defineRoute } from "../route.ts";

const OperatorParams = z.strictObject({ operator: OwnerName.meta({ description: "`sub` of their tokens" }) });

export const operatorsRoute = defineRoute(
  {
    method: "get",
    path: "/api/fleet/operators",
    role: "admin",
    summary: "Operators of all tenants, by name",
    query: PageQuery,
    reply: pageOf(OperatorView),
  },
  async (fleet: Fleet, { query: { cursor = "", limit } }) => {
    const rows = await listOperatorsFor(fleet, { after: cursor, limit: limit + 1 });
    const items = rows.slice(0, limit);
    const nextCursor = rows.length > limit ? (items.at(-1)?.id ?? null) : null;
    return { body: { items: items.map((row) => viewOperator(row)), nextCursor } };
  },
);

export const setOperatorRoute = defineRoute(
  {
    method: "post",
    path: "/api/fleet/operators",
    role: "admin",
    summary: "Add an operator, or change their tier or role from their next request on",
    body: OperatorChange,
    reply: OperatorView,
  },
  async (fleet: Fleet, { operator: by, body: { operator, role, ...change } }) => ({
    body: viewOperator(await setOperator(fleet, by, operator, { ...change, role: role === "none" ? null : role })),
  }),
);

export const disableOperatorRoute = defineRoute(
  {
    method: "post",
    path: "/api/fleet/operators/:operator/disable",
    role: "admin",
    summary: "Refuse every token of an operator; their tasks continue",
    params: OperatorParams,
    reply: OperatorView,
    errors: ["not-found"],
  },
  async (fleet: Fleet, { operator, params }) => ({
    body: viewOperator(await disableOperator(fleet, operator, params.operator)),
  }),
);

export const enableOperatorRoute = defineRoute(
  {
    method: "post",
    path: "/api/fleet/operators/:operator/enable",
    role: "admin",
    summary: "Accept the tokens of an operator again",
    params: OperatorParams,
    reply: OperatorView,
    errors: ["not-found"],
  },
  async (fleet: Fleet, { operator, params }) => ({
    body: viewOperator(await enableOperator(fleet, operator, params.operator)),
  }),
);

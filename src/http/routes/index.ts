/** Every route of the API. The server mounts them, the OpenAPI document describes them, and the CLI takes its types from them. */
import type { Fleet } from "../../conductor/fleet.ts";
import type { Operator } from "../../domain/operator.ts";
import type { Route } from "../route.ts";
import { budgetsRoute, setBudgetRoute } from "./budgets.ts";
import { mergeRoute, rejectRoute, removeRoute, retryRoute, stopRoute } from "./task-actions.ts";
import { auditEntriesRoute, exportAuditRoute } from "./audit.ts";
import { configRoute, resealRoute, setConfigRoute, unsetConfigRoute } from "./config.ts";
import { acceptDriftRoute, checkDriftRoute, driftRoute } from "./drift.ts";
import { estopsRoute, releaseEstopRoute, throwEstopRoute } from "./estop.ts";
import { eventsRoute, recentEventsRoute, taskEventsRoute } from "./events.ts";
import { gcRoute } from "./gc.ts";
import { keysRoutes, type KeyAdmin } from "./keys.ts";
import { loginRoute } from "./login.ts";
import { followLogsRoute, logsRoute } from "./logs.ts";
import { notifyTestRoute } from "./notify.ts";
import { disableOperatorRoute, enableOperatorRoute, operatorsRoute, setOperatorRoute } from "./operators.ts";
import { addOrderRoute, orderRoute, ordersRoute, runOrderRoute, runOrdersRoute } from "./orders.ts";
import { onePlanRoute, planRoute, plansRoute, replayPlanRoute } from "./plan.ts";
import { killProductRoute, productsRoute, releaseProductRoute } from "./products.ts";
import { auditRoute, checkpointRoute, invariantsRoute } from "./integrity.ts";
import { hostsRoute, psRoute } from "./ps.ts";
import { evidenceRoute, pinRunRoute, runRoute, runsRoute, unpinRunRoute } from "./runs.ts";
import { pauseScheduleRoute, pushedRoute, resumeScheduleRoute, runScheduleRoute, schedulesRoute } from "./schedules.ts";
import { refreshScienceRoute, scienceRoute } from "./science.ts";
import { spawnRoute } from "./spawn.ts";
import { storyRoute } from "./story.ts";
import { statusRoute, taskRoute, tasksRoute } from "./tasks.ts";
import { tokensRoutes, type TokenAdmin } from "./tokens.ts";

export const ROUTES = [
  spawnRoute,
  statusRoute,
  tasksRoute,
  taskRoute,
  storyRoute,
  stopRoute,
  retryRoute,
  mergeRoute,
  rejectRoute,
  removeRoute,
  logsRoute,
  followLogsRoute,
  taskEventsRoute,
  eventsRoute,
  recentEventsRoute,
  psRoute,
  hostsRoute,
  driftRoute,
  checkDriftRoute,
  acceptDriftRoute,
  scienceRoute,
  refreshScienceRoute,
  gcRoute,
  auditEntriesRoute,
  exportAuditRoute,
  auditRoute,
  checkpointRoute,
  invariantsRoute,
  configRoute,
  setConfigRoute,
  unsetConfigRoute,
  resealRoute,
  notifyTestRoute,
  budgetsRoute,
  setBudgetRoute,
  operatorsRoute,
  setOperatorRoute,
  disableOperatorRoute,
  enableOperatorRoute,
  estopsRoute,
  throwEstopRoute,
  releaseEstopRoute,
  productsRoute,
  killProductRoute,
  releaseProductRoute,
  planRoute,
  plansRoute,
  onePlanRoute,
  replayPlanRoute,
  ordersRoute,
  addOrderRoute,
  runOrdersRoute,
  orderRoute,
  runOrderRoute,
  runsRoute,
  runRoute,
  evidenceRoute,
  pinRunRoute,
  unpinRunRoute,
  schedulesRoute,
  pauseScheduleRoute,
  resumeScheduleRoute,
  runScheduleRoute,
  pushedRoute,
] as const satisfies readonly Route<Fleet>[];

/** With those that need the web process, because it holds the keys. */
export function webRoutes(
  createLoginLink: (operator: Operator) => Promise<string>,
  { tokens, ...keys }: KeyAdmin & { readonly tokens: TokenAdmin },
) {
  return [
    ...ROUTES,
    loginRoute(createLoginLink),
    ...keysRoutes(keys),
    ...tokensRoutes(tokens),
  ] as const satisfies readonly Route<Fleet>[];
}

/** Any route of the API, with the types of its path, parameters, body and reply. */
export type ApiRoute = ReturnType<typeof webRoutes>[number];

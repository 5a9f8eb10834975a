/** Every route of the API. The server mounts this list, and the OpenAPI document describes it. */
import type { Fleet } from "../../conductor/fleet.ts";
import type { Route } from "../route.ts";
import { mergeRoute, rejectRoute, removeRoute, retryRoute, stopRoute } from "./acts.ts";
import { eventsRoute, recentEventsRoute, taskEventsRoute } from "./events.ts";
import { followLogsRoute, logsRoute } from "./logs.ts";
import { auditRoute, invariantsRoute } from "./proofs.ts";
import { hostsRoute, psRoute } from "./ps.ts";
import { spawnRoute } from "./spawn.ts";
import { storyRoute } from "./story.ts";
import { statusRoute, taskRoute, tasksRoute } from "./tasks.ts";

export const ROUTES: readonly Route<Fleet>[] = [
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
  auditRoute,
  invariantsRoute,
];

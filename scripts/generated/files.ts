/** The files that are generated from the code: `npm run generate` writes them, and a test compares them. */
import { format } from "prettier";
import { z } from "zod";
import { VERSION } from "../../src/domain/version.ts";
import { DriftReportDocument } from "../../src/domain/drift/report.ts";
import { LastRun } from "../../src/domain/orders/last-run.ts";
import { WorkOrder } from "../../src/domain/orders/order.ts";
import { ScheduleFile } from "../../src/domain/orders/schedule.ts";
import { Plan } from "../../src/domain/plan/plan.ts";
import { ScienceIndex } from "../../src/domain/science/science-index.ts";
import { Settings } from "../../src/domain/settings/settings.ts";
import { buildOpenApi } from "../../src/http/docs/openapi.ts";
import { webRoutes } from "../../src/http/routes/index.ts";
import { cliPage, environmentPage, errorsPage, queuesPage, statesPage } from "./pages.ts";

export const GENERATED: Readonly<Record<string, () => Promise<string>>> = {
  "docs/states.md": () => markdown(statesPage()),
  "docs/errors.md": () => markdown(errorsPage()),
  "docs/queues.md": () => markdown(queuesPage()),
  "docs/environment.md": () => markdown(environmentPage()),
  "docs/cli.md": async () => markdown(await cliPage()),
  "docs/openapi.json": async () => json(buildOpenApi(describedRoutes(), VERSION)),
  "schemas/last_run.schema.json": async () => json(z.toJSONSchema(LastRun)),
  "schemas/drift_report.schema.json": async () => json(z.toJSONSchema(DriftReportDocument)),
  "schemas/science_index.schema.json": async () => json(z.toJSONSchema(ScienceIndex)),
  "schemas/fleet.schema.json": async () => json(z.toJSONSchema(Settings, { io: "input", unrepresentable: "any" })),
  "schemas/work_order.schema.json": async () => json(z.toJSONSchema(WorkOrder)),
  "schemas/plan.schema.json": async () => json(z.toJSONSchema(Plan)),
  "schemas/schedule.schema.json": async () => json(z.toJSONSchema(ScheduleFile, { io: "input" })),
};

function describedRoutes() {
  const tokens = { issuer: "", sign: neverCalled, refresh: neverCalled };
  return webRoutes(neverCalled, { createKey: neverCalled, refresh: neverCalled, tokens });
}

function neverCalled(): Promise<never> {
  return Promise.reject(new Error("The routes are described here, never called."));
}

function markdown(text: string): Promise<string> {
  return format(text, { parser: "markdown", printWidth: 120 });
}

function json(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

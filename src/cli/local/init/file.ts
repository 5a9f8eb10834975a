/** The files that fleet init writes: a fleet.yaml as a person would have written it, and a schedule for it. */
import { stringify } from "yaml";
import type { Cadence } from "../../../domain/orders/schedule.ts";
import type { Commands } from "./project.ts";

/** What was detected, or answered instead. */
export interface ProductChoice extends Commands {
  readonly id: string;
  readonly baseBranch: string;
  readonly criticality: string;
}

export function settingsText(chosen: ProductChoice): string {
  const { id, baseBranch, criticality } = chosen;
  return `# Fleetwright settings: the products it maintains, and how. Changes apply without a restart.
# All settings: schemas/fleet.schema.json of Fleetwright. Check this file: fleet doctor
version: 1

products:
  - id: ${scalar(id)}
    # A path relative to this file, or a URL.
    repository: .
    baseBranch: ${scalar(baseBranch)}
    # bootstrap, active, development and deprecated are planned for; pending, planned and archived are not.
    status: active
    # high, medium or low, and 1 (checked most often) to 5: they decide what is planned first, and how old a result may be.
    criticality: ${scalar(criticality)}
    slaTier: 3
${commandsText(chosen)}
    # Files written by the commands and stored with each run:
    # evidence:
    #   - { path: reports/junit.xml, of: test, required: false }
    # Stops this product at once; fleet products kill does the same without editing this file:
    # killSwitch: { enabled: true, reason: "why" }

# Who reviews what agents deliver. A command gets the prompt on stdin and answers with a verdict as JSON:
# reviewers:
#   - { name: team, type: command, command: ./scripts/review.sh }
`;
}

/** Each command is one line for sh, run in a fresh copy of the repository. */
function commandsText({ setup, validate, test }: Commands): string {
  const given = Object.entries({ setup, validate, test });
  if (given.every(([, line]) => line === undefined)) {
    return "    # No command was found that checks this repository. Without commands there is nothing to run:\n    # commands: { validate: make check, test: make test }";
  }
  const lines = given.map(([name, line]) =>
    line === undefined ? `      # ${name}:` : `      ${name}: ${scalar(line)}`,
  );
  return [
    "    # Each command is one line for sh, run in a fresh copy of the repository.",
    "    commands:",
    ...lines,
  ].join("\n");
}

/** Writes a value on one line, quoted only where YAML would read it as something else. */
function scalar(text: string): string {
  return stringify(text, { lineWidth: 0, blockQuote: false }).trim();
}

export function scheduleText(
  { id, validate, test }: Pick<ProductChoice, "id" | "validate" | "test">,
  cadence: Cadence,
): string {
  const given = [...(validate ? ["validate"] : []), ...(test ? ["test"] : [])];
  const jobs = (given.length > 0 ? given : ["drift_check"]).map((intent) => ({ intent }));
  const at = cadence === "daily" || cadence === "weekly" ? { at: "02:30" } : {};
  return `${JSON.stringify({ schema_version: 1, product_id: id, cadence, ...at, jobs, enabled: true }, undefined, 2)}\n`;
}

/** Turns `@acme/Web Shop` into web-shop. */
export function idFrom(name: string): string {
  const last = name.split("/").at(-1) ?? name;
  const id = last
    .toLowerCase()
    .replaceAll(/[^a-z0-9_-]+/g, "-")
    .replaceAll(/^[-_]+|-+$/g, "");
  return id.slice(0, 64) || "product";
}

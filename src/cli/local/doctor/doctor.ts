/** fleet doctor: is everything here that Fleetwright needs, and what to do where it is not. Starts and changes nothing. */
import type { Config } from "../../../environment.ts";
import type { Command } from "../../command.ts";
import type { Terminal } from "../../print/terminal.ts";
import { lookAtAgents, lookAtNode, lookAtPrograms } from "./machine.ts";
import { lookAtHome, lookAtSettings } from "./home.ts";
import { lookAtClock, lookAtPostgres, lookAtRedis, lookAtStack } from "./stack.ts";

export interface Finding {
  readonly name: string;
  /** `wrong`: something needed is not as it must be. `absent`: it could be there, and need not. */
  readonly state: "ok" | "wrong" | "absent";
  readonly said: string;
  readonly fix?: string;
}

/** One question; its answer may be several lines. */
export type Look = (config: Config) => Promise<Finding | readonly Finding[]>;

const LOOKS: readonly (readonly [title: string, looks: readonly Look[]])[] = [
  ["This machine", [lookAtNode, lookAtPrograms]],
  ["Agents", [lookAtAgents]],
  ["Home and settings", [lookAtHome, lookAtSettings]],
  ["Stores", [lookAtPostgres, lookAtClock, lookAtRedis]],
  ["Running now", [lookAtStack]],
];

export const doctorCommand: Command = {
  usage: "doctor",
  summary: "check that everything needed is here, with a fix for what is not",
  options: [],
  examples: ["fleet doctor", "fleet doctor --json | jq '.findings[] | select(.state == \"wrong\")'"],

  async run({ terminal, json }) {
    const { processConfig } = await import("../../../processes/env.ts");
    const config = processConfig();
    const parts = await Promise.all(
      LOOKS.map(async ([title, looks]) => ({
        title,
        findings: (await Promise.all(looks.map((look) => look(config)))).flat(),
      })),
    );
    const findings = parts.flatMap((part) => part.findings.map((finding) => ({ part: part.title, ...finding })));
    const wrong = findings.filter(({ state }) => state === "wrong").length;
    if (json) terminal.json({ ok: wrong === 0, findings });
    else for (const line of linesOf(terminal, parts, wrong)) terminal.line(line);
    return wrong === 0 ? 0 : 1;
  },
};

const NAME_CELLS = 14;

function linesOf(
  terminal: Terminal,
  parts: readonly { readonly title: string; readonly findings: readonly Finding[] }[],
  wrong: number,
): string[] {
  const { paint, mark, shown } = terminal;
  const lines = parts.flatMap(({ title, findings }) => [
    paint("bold", title),
    ...findings.flatMap(({ name, state, said, fix }) => [
      `  ${mark(state === "absent" ? null : state === "ok")} ${name.padEnd(NAME_CELLS)}${shown(said)}`.trimEnd(),
      ...(fix ? [paint(state === "wrong" ? "yellow" : "dim", `    ${" ".repeat(NAME_CELLS)}→ ${shown(fix)}`)] : []),
    ]),
    "",
  ]);
  const last =
    wrong === 0 ? `${mark(true)} Everything needed is here.` : `${mark(false)} ${wrong} to mend, marked ✖ above.`;
  return [...lines, last];
}

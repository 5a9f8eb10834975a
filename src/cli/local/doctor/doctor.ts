/** fleet doctor: checks that everything Fleetwright needs is here, with a fix for what is not. It starts and changes nothing. */
import type { Command } from "../../command.ts";
import type { Terminal } from "../../print/terminal.ts";
import { checkAgents, checkNode, checkPrograms } from "./machine.ts";
import { checkHome, checkSettings } from "./home.ts";
import { checkClock, checkPostgres, checkRedis, checkStack } from "./stack.ts";
import type { Finding, Check } from "./check.ts";

const CHECKS: readonly (readonly [title: string, checks: readonly Check[]])[] = [
  ["This machine", [checkNode, checkPrograms]],
  ["Agents", [checkAgents]],
  ["Home and settings", [checkHome, checkSettings]],
  ["Stores", [checkPostgres, checkClock, checkRedis]],
  ["Running now", [checkStack]],
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
      CHECKS.map(async ([title, checks]) => ({
        title,
        findings: (await Promise.all(checks.map((check) => check(config)))).flat(),
      })),
    );
    const findings = parts.flatMap((part) => part.findings.map((finding) => ({ part: part.title, ...finding })));
    const wrong = findings.filter(({ state }) => state === "wrong").length;
    if (json) terminal.json({ ok: wrong === 0, findings });
    else for (const line of reportLines(terminal, parts, wrong)) terminal.line(line);
    return wrong === 0 ? 0 : 1;
  },
};

const NAME_CELLS = 14;

function reportLines(
  terminal: Terminal,
  parts: readonly { readonly title: string; readonly findings: readonly Finding[] }[],
  wrong: number,
): string[] {
  const { paint, mark, sanitize } = terminal;
  const lines = parts.flatMap(({ title, findings }) => [
    paint("bold", title),
    ...findings.flatMap(({ name, state, said, fix }) => [
      `  ${mark(state === "absent" ? null : state === "ok")} ${name.padEnd(NAME_CELLS)}${sanitize(said)}`.trimEnd(),
      ...(fix ? [paint(state === "wrong" ? "yellow" : "dim", `    ${" ".repeat(NAME_CELLS)}→ ${sanitize(fix)}`)] : []),
    ]),
    "",
  ]);
  const last =
    wrong === 0 ? `${mark(true)} Everything needed is here.` : `${mark(false)} ${wrong} to fix, marked ✖ above.`;
  return [...lines, last];
}

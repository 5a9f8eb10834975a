/** Agent type `stub`: a small shell program that comes with Fleetwright and plays a script, well-behaved or not. */
import { fileURLToPath } from "node:url";
import { lastLine, NO_RESULT, type AgentCli } from "./agent-cli.ts";

export const STUB_SCRIPTS = [
  "succeed",
  "succeed-no-push",
  "fail-then-fix",
  "objectionable-then-fix",
  "hang",
  "wedge",
  "lie",
  "exit-0-no-work",
  "exit-1",
  "no-change-needed",
  "spam",
  "fork",
  "ask",
  "inject",
  "out-of-memory",
  "ignore-term",
  "limit",
  "slow",
] as const;

const PROGRAM = fileURLToPath(new URL("../stub/stub.sh", import.meta.url));
const SAYS = /^FLEET-([A-Z-]+): ?(.*)$/gm;

export const stubCli: AgentCli = {
  type: "stub",
  binary: null,
  probe: [],
  argv({ script }) {
    const [name, ...more] = (script ?? "succeed").split(":");
    const known = STUB_SCRIPTS.find((one) => one === name);
    if (known) return ["/bin/sh", PROGRAM, known, ...more];
    return { refused: `there is no stub script ${name}; there are ${STUB_SCRIPTS.join(", ")}` };
  },

  /** It says what matters in lines of its own: `FLEET-QUESTION: text`, `FLEET-CHOICES: a|b`, … */
  parseResult(outputTail) {
    const said = new Map<string, string>();
    for (const [, word = "", text = ""] of outputTail.matchAll(SAYS)) said.set(word, text);
    const question = said.get("QUESTION");
    const limit = said.get("LIMIT");
    const resetsAt = new Date(limit ?? "");
    return {
      ...NO_RESULT,
      finalMessage: said.get("DONE") ?? lastLine(outputTail),
      question: question === undefined ? null : { text: question, choices: said.get("CHOICES")?.split("|") ?? [] },
      noChangeNeeded: said.get("NO-CHANGE") ?? null,
      limit: limit === undefined ? null : { resetsAt: Number.isNaN(resetsAt.getTime()) ? null : resetsAt },
    };
  },
};

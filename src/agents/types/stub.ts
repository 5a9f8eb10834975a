/** Agent type `stub`: a small shell program that comes with Fleetwright and plays a script, well-behaved or not. */
import { fileURLToPath } from "node:url";
import type { AgentCli } from "./agent-cli.ts";
import { parseMarkers } from "./markers.ts";

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
  "spend",
] as const;

const PROGRAM = fileURLToPath(new URL("../stub/stub.sh", import.meta.url));

export const stubCli: AgentCli = {
  argv({ script }) {
    const [name, ...more] = (script ?? "succeed").split(":");
    const known = STUB_SCRIPTS.find((one) => one === name);
    if (known) return ["/bin/sh", PROGRAM, known, ...more];
    return { refused: `there is no stub script ${name}; there are ${STUB_SCRIPTS.join(", ")}` };
  },
  parseResult: parseMarkers,
};

// A small real reviewer for demos, tests and drills: `node stub-reviewer.mjs <script>`, prompt on stdin, verdict on stdout.
// Reads only the fenced diff. Scripts: default, approve-always, reject-always, comment-always, garbage, garbage-once, hang, crash, slow.
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";

const SLOW_MS = 3_000;
const script = process.argv[2] ?? "default";
const prompt = readFileSync(0, "utf8");

/** Lines the diff adds that nobody should merge, with their places in the new files. */
function findLeftovers(text) {
  const diff = /<<<DATA \w+ \| diff\n([^]*?)\nDATA \w+>>>/.exec(text)?.[1] ?? "";
  const findings = [];
  let file = null;
  let line = 0;
  for (const row of diff.split("\n")) {
    const hunk = /^@@ -\S+ \+(\d+)/.exec(row);
    if (row.startsWith("+++ ")) file = row.slice(4).replace(/^b\//, "");
    else if (hunk) line = Number(hunk[1]);
    else if (row.startsWith("+")) {
      const leftover = /\b(TODO|FIXME|debugger)\b/.exec(row)?.[1];
      if (leftover)
        findings.push({
          file,
          line,
          severity: "high",
          message: `${leftover} is left in the code.`,
          suggestion: "Finish it or take it out.",
        });
      line += 1;
    } else if (!row.startsWith("-")) line += 1;
  }
  return findings;
}

function answer(verdict, summary, findings = []) {
  process.stdout.write(`${JSON.stringify({ verdict, summary, findings })}\n`);
}

function judge() {
  const findings = findLeftovers(prompt);
  if (findings.length > 0) answer("request_changes", `${findings.length} unfinished places.`, findings);
  else answer("approve", "Nothing unfinished in it.");
}

switch (script) {
  case "default":
    judge();
    break;
  case "approve-always":
    answer("approve", "It approves everything.");
    break;
  case "reject-always":
    answer("request_changes", "It rejects everything.", [
      { file: null, line: null, severity: "medium", message: "This reviewer is never content." },
    ]);
    break;
  case "comment-always":
    answer("comment", "It has no opinion.");
    break;
  case "garbage":
    process.stdout.write('Looks good to me! {"verdict": "lgtm"}\n');
    break;
  case "garbage-once":
    if (prompt.includes("could not be used")) judge();
    else process.stdout.write("LGTM\n");
    break;
  case "hang":
    setInterval(() => {}, 60_000);
    break;
  case "crash":
    process.stderr.write("the stub reviewer was told to crash\n");
    process.exit(70);
    break;
  case "slow":
    await pause(SLOW_MS);
    judge();
    break;
  default:
    process.stderr.write(`There is no script ${script}.\n`);
    process.exit(64);
}

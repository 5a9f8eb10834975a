// The demo's security reviewer: a program like any other. Prompt on stdin, one JSON verdict on stdout.
import { readFileSync } from "node:fs";

const SECRET = /\b(?:gh[a-z]_\w{20,}|AKIA[0-9A-Z]{16})\b|(?:password|secret|token)\s*[:=]\s*["'][^"']{8,}/i;

const added = readFileSync(0, "utf8")
  .split("\n")
  .filter((row) => row.startsWith("+") && !row.startsWith("+++"));
const leaks = added.filter((row) => SECRET.test(row));
const findings = leaks.map(() => ({
  file: null,
  line: null,
  severity: "high",
  message: "This looks like a secret.",
  suggestion: "Take it out and revoke it.",
}));
const verdict = findings.length > 0 ? "request_changes" : "approve";
const summary = findings.length > 0 ? "A secret would be published." : "No secrets in it.";
process.stdout.write(`${JSON.stringify({ verdict, summary, findings })}\n`);

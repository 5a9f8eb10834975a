/** Builds the prompt of an attempt: the required sections, then as much helpful context as fits. Equal inputs give equal prompts. */
import { escapeLine } from "../text/escape.ts";
import { describeFailure, failureEvidence } from "./failure-advice.ts";
import { fenceRule, fenceUntrusted } from "../text/fence.ts";
import { createRedactor } from "../text/redact.ts";
import type { FailureContext, Task } from "./task.ts";
import { byteLength } from "../text/untrusted.ts";

/** An agent that finishes without a commit ends its last message with one of these lines. */
export const NO_CHANGE_MARKER = "FLEET-NO-CHANGE:";
export const HELP_MARKER = "FLEET-QUESTION:";

export type PromptTier = "critical" | "relevant" | "background";

export interface PromptInput {
  readonly task: Pick<
    Task,
    "id" | "title" | "description" | "repository" | "branch" | "baseBranch" | "attempt" | "taskType"
  >;
  readonly acceptance?: string | undefined;
  /** The product's commands by name: `test` → `npm test`. */
  readonly commands?: Readonly<Record<string, string>>;
  /** Top-level names in the repository. */
  readonly layout?: readonly string[];
  /** The failures of earlier attempts, oldest first. */
  readonly failures?: readonly FailureContext[];
  readonly findings?: readonly PromptFinding[];
  /** Knowledge entries; the caller leaves out stale ones. */
  readonly knowledge?: readonly { topic: string; text: string }[];
  readonly background?: readonly { label: string; text: string }[];
  /** A random value for this prompt: at least 16 letters or digits. */
  readonly nonce: string;
  readonly budgetTokens?: number;
  readonly sha256: (text: string) => string;
  /** Masks the secrets of this task; without it, only known token formats are masked. */
  readonly redact?: (text: string) => string;
}

export interface PromptFinding {
  readonly reviewer?: string | undefined;
  readonly file?: string | null | undefined;
  readonly line?: number | null | undefined;
  readonly severity?: string | undefined;
  readonly message: string;
  readonly suggestion?: string | null | undefined;
}

export interface PromptSection {
  readonly tier: PromptTier;
  readonly label: string;
  readonly tokenEstimate: number;
  readonly included: boolean;
}

export interface Prompt {
  readonly text: string;
  /** The hash of the text without its nonce, so that equal contexts have equal hashes. */
  readonly contextHash: string;
  readonly sections: readonly PromptSection[];
  readonly totalTokens: number;
  readonly budgetTokens: number;
  /** A helpful section was truncated or left out. */
  readonly truncated: boolean;
}

const DEFAULT_BUDGET_TOKENS = 8_000;
/** A section that is truncated to less than this is useless, so it is left out. */
const MIN_SECTION_TOKENS = 150;

/** Estimates four bytes per token, which is never far below what models count for prose and code. */
export function estimateTokens(text: string): number {
  return Math.ceil(byteLength(text) / 4);
}

/** Reduces the budget by a quarter for each attempt that ran out of memory. */
export function promptBudget(budgetTokens: number, failures: readonly FailureContext[]): number {
  const tooLarge = failures.filter((failure) => failure.outOfMemory).length;
  return Math.floor(budgetTokens * 0.75 ** tooLarge);
}

interface SectionDraft {
  readonly tier: PromptTier;
  readonly label: string;
  /** Writes the section with at most `maxChars` characters of content. */
  readonly write: (maxChars: number) => string;
}

export function buildPrompt(input: PromptInput): Prompt {
  const budgetTokens = promptBudget(input.budgetTokens ?? DEFAULT_BUDGET_TOKENS, input.failures ?? []);
  const sections: PromptSection[] = [];
  const texts: string[] = [];
  let totalTokens = 0;
  let truncated = false;

  for (const { tier, label, write } of draftSections(input)) {
    const whole = write(Number.MAX_SAFE_INTEGER);
    const left = budgetTokens - totalTokens - 1;
    let text = whole;
    if (tier !== "critical" && estimateTokens(whole) > left) {
      truncated = true;
      text = tier === "relevant" && left >= MIN_SECTION_TOKENS ? truncateToFit(write, whole, left) : "";
    }
    const tokenEstimate = estimateTokens(text === "" ? whole : text);
    sections.push({ tier, label, tokenEstimate, included: text !== "" });
    if (text === "") continue;
    texts.push(text);
    totalTokens += tokenEstimate + 1;
  }

  const text = texts.join("\n\n");
  const contextHash = input.sha256(text.replaceAll(input.nonce, "nonce"));
  return { text, contextHash, sections, totalTokens, budgetTokens, truncated };
}

/** Shrinks the section until it fits, in a few steps, because wide characters and the fence need additional room. */
function truncateToFit(write: SectionDraft["write"], whole: string, tokens: number): string {
  let maxChars = Math.floor((tokens * 4 * whole.length) / byteLength(whole)) - 300;
  for (let step = 0; step < 6 && maxChars > 100; step += 1) {
    const text = write(maxChars);
    if (estimateTokens(text) <= tokens) return text;
    maxChars = Math.floor(maxChars * 0.75);
  }
  return "";
}

function* draftSections(input: PromptInput): Generator<SectionDraft> {
  yield criticalDraft("task", taskSection(input));
  yield criticalDraft("repository", repositorySection(input));
  yield criticalDraft("conduct", rulesSection(input));
  yield criticalDraft("finish", finishSection(input));

  const redact = input.redact ?? createRedactor().redact;
  const fence = (label: string, text: string, maxChars: number): string =>
    fenceUntrusted(label, redact(text), input.nonce, maxChars);
  const newestFirst = (input.failures ?? []).toReversed();
  for (const failure of newestFirst) yield failureDraft(failure, fence);
  if (input.findings?.length) yield findingsDraft(input.findings, fence);
  for (const { topic, text } of input.knowledge ?? []) {
    yield {
      tier: "relevant",
      label: `knowledge: ${topic}`,
      write: (maxChars) => fence(`knowledge: ${topic}`, text, maxChars),
    };
  }
  for (const { label, text } of input.background ?? []) {
    yield { tier: "background", label, write: (maxChars) => fence(label, text, maxChars) };
  }
}

function criticalDraft(label: string, text: string): SectionDraft {
  return { tier: "critical", label, write: () => text };
}

function taskSection({ task, acceptance }: PromptInput): string {
  const lines = [`# Task (${task.taskType}): ${escapeLine(task.title)}`, "", task.description];
  if (acceptance) lines.push("", "## It is done when", acceptance);
  return lines.join("\n");
}

function repositorySection({ task, commands = {}, layout = [] }: PromptInput): string {
  const lines = [
    "## Repository",
    `- You are in a working copy of ${escapeLine(task.repository)}, created for this task only.`,
    `- Your branch is \`${task.branch}\`; it was created from \`${task.baseBranch}\`.`,
  ];
  for (const [name, command] of Object.entries(commands))
    lines.push(`- ${escapeLine(name)}: \`${escapeLine(command)}\``);
  if (layout.length > 0) lines.push(`- Top level: ${layout.slice(0, 60).map(escapeLine).join(", ")}`);
  return lines.join("\n");
}

function rulesSection({ nonce }: PromptInput): string {
  return [
    "## Rules",
    "- Change only what the task requires. Stay in this directory.",
    "- Stay on your branch: do not switch, merge, rebase onto others, force-push or touch other branches.",
    "- Do not print, commit or send secrets. Do not weaken or skip tests to make them pass.",
    "- You run unattended: do not start anything that waits for input or never ends.",
    `- ${fenceRule(nonce)}`,
  ].join("\n");
}

function finishSection({ task }: PromptInput): string {
  return [
    "## How to finish",
    `1. Run the commands above that check your work. Commit on \`${task.branch}\` with a message that explains why.`,
    "2. Push: `git push origin HEAD`. A pull request is opened for you if you cannot open one.",
    `3. If no change is needed, commit nothing and end with one line: \`${NO_CHANGE_MARKER} <why>\``,
    `4. If you cannot continue without a person, commit what works and end with one line: \`${HELP_MARKER} <question>\``,
    ...(task.attempt > 0
      ? ["", `This is attempt ${task.attempt + 1}. Attempt ${task.attempt} did not succeed; do it differently.`]
      : []),
  ].join("\n");
}

type Fence = (label: string, text: string, maxChars: number) => string;

function failureDraft(failure: FailureContext, fence: Fence): SectionDraft {
  const label = `failure of attempt ${failure.attempt + 1}`;
  const facts = describeFailure({ ...failure, attempt: failure.attempt + 1 });
  const evidence = failureEvidence(failure);
  return {
    tier: "relevant",
    label,
    write: (maxChars) => [`## What happened before`, ...facts, fence(label, evidence, maxChars)].join("\n"),
  };
}

function findingsDraft(findings: readonly PromptFinding[], fence: Fence): SectionDraft {
  const text = findings
    .map(({ reviewer, file, line, severity, message, suggestion }) => {
      const where = file ? `${file}${line ? `:${line}` : ""} ` : "";
      const hint = suggestion ? `\n  suggestion: ${suggestion}` : "";
      return `- [${severity ?? "finding"}] ${where}${message}${reviewer ? ` (${reviewer})` : ""}${hint}`;
    })
    .join("\n");
  return {
    tier: "relevant",
    label: "review findings",
    write: (maxChars) => `## Review findings: address each of them\n${fence("review findings", text, maxChars)}`,
  };
}

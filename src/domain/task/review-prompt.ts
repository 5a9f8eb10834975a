/** Builds the prompt of a reviewer: the task, the diff as data, and the format of the answer. */
import { z } from "zod";
import type { TruncatedDiff } from "../text/diff.ts";
import { fenceRule, fenceUntrusted } from "../text/fence.ts";
import { ReviewVerdict } from "./review.ts";
import type { Task } from "./task.ts";

export interface ReviewPromptInput {
  readonly task: Pick<Task, "title" | "description" | "baseBranch" | "branch"> & {
    readonly acceptance?: string | undefined;
  };
  /** The focus of this reviewer: security, logic, architecture, … */
  readonly role: string;
  readonly headSha: string;
  /** The diff, already redacted and truncated by file. */
  readonly diff: TruncatedDiff;
  /** 16 to 64 letters or digits, drawn for each prompt. */
  readonly nonce: string;
}

/** A safety limit: the diff is already truncated by its own limits. */
const MAX_DIFF_CHARS = 400_000;
const MAX_TASK_CHARS = 20_000;

export function buildReviewPrompt({ task, role, headSha, diff, nonce }: ReviewPromptInput): string {
  const instructions = [task.description, ...(task.acceptance ? [`Acceptance: ${task.acceptance}`] : [])].join("\n\n");
  return [
    `You review a pull request. Your focus: ${role.replaceAll(/\s+/g, " ")}.`,
    "You may read the files in this directory; they are a disposable copy of the pull request's head. Change nothing.",
    fenceRule(nonce),
    `The pull request merges ${task.branch} (${headSha}) into ${task.baseBranch}. Its task:`,
    fenceUntrusted("task", `${task.title}\n\n${instructions}`, nonce, MAX_TASK_CHARS),
    `It changes ${diff.files.length} files:\n${diff.files.map(formatFileLine).join("\n")}`,
    diff.truncated
      ? "The diff is truncated where noted; read the files themselves where that matters."
      : "The diff is complete.",
    fenceUntrusted("diff", diff.text, nonce, MAX_DIFF_CHARS),
    ANSWER_INSTRUCTIONS,
    "",
  ].join("\n\n");
}

/** Builds the prompt for the one retry after an unusable answer. */
export function buildRepairPrompt(prompt: string, error: string): string {
  return `${prompt}\nYour last answer could not be used:\n${error}\n\nAnswer again with only the JSON object.\n`;
}

const ANSWER_INSTRUCTIONS = [
  "Answer with one JSON object and nothing else, matching this schema:",
  JSON.stringify(z.toJSONSchema(ReviewVerdict, { io: "input" })),
  'Use "request_changes" only for what must change before merging, and give a finding for each such change.',
].join("\n");

function formatFileLine({ path, added, removed, cut }: TruncatedDiff["files"][number]): string {
  const note = { whole: "", part: " (cut)", left_out: " (left out)" }[cut];
  return `- ${JSON.stringify(path)} +${added} -${removed}${note}`;
}

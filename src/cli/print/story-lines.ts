/** A task's history on a terminal: what it is, the reason for its state, what happened, what it produced. */
import { describeHold } from "../../domain/task/kill-switch.ts";
import type { StoryView } from "../../views/task-details.ts";
import { renderTable } from "./table.ts";
import { sanitize, type Terminal } from "./terminal.ts";
import { ago, plural, formatDuration, formatSpend } from "./format.ts";

type Section = (terminal: Terminal, story: StoryView, now: Date) => string[];

const SECTIONS: readonly (readonly [title: string, part: Section])[] = [
  ["Timeline", timeline],
  ["Attempts", attempts],
  ["Agent", agent],
  ["Pull request", pullRequest],
  ["CI", checks],
  ["Reviews", reviews],
  ["Definition of done", definitionOfDone],
  ["Learnt", lessons],
];

export function storyLines(terminal: Terminal, story: StoryView, now: Date): string[] {
  return [...headerLines(terminal, story, now), ...sectionLines(terminal, story, { now, parts: SECTIONS })];
}

/** The outcome without the details: for several tasks in a row. */
export function shortStoryLines(terminal: Terminal, story: StoryView, now: Date): string[] {
  const [title = "", status = ""] = headerLines(terminal, story, now);
  const parts = SECTIONS.filter(([name]) => name === "Attempts" || name === "Reviews");
  return [`${title}  ${status}`, ...sectionLines(terminal, story, { now, parts }).filter((line) => line !== "")];
}

function sectionLines(
  terminal: Terminal,
  story: StoryView,
  { now, parts }: { readonly now: Date; readonly parts: typeof SECTIONS },
): string[] {
  const lines: string[] = [];
  for (const [title, part] of parts) {
    const body = part(terminal, story, now);
    if (body.length > 0) lines.push("", terminal.paint("bold", title), ...body.map((line) => `  ${line}`.trimEnd()));
  }
  return lines;
}

function queuePosition(waits: StoryView["waits"]): string {
  if (typeof waits?.position !== "number") return "";
  return waits.position === 0
    ? " It is next."
    : ` ${waits.position} ${waits.position === 1 ? "is" : "are"} called before it.`;
}

function headerLines(terminal: Terminal, { task, why, next, stopped, waits }: StoryView, now: Date): string[] {
  const { paint } = terminal;
  const model = task.model === null ? "" : ` (${sanitize(task.model)})`;
  const facts = [
    `attempt ${task.attempt + 1} of ${task.maxRetries + 1}`,
    `${task.agentType}${model}`,
    ...(task.host === null ? [] : [`on ${sanitize(task.host)}`]),
    formatSpend(task.spend),
  ].filter((fact) => fact !== "–");
  return [
    `${paint("bold", sanitize(task.title))}  ${paint("dim", task.shortId)}`,
    `${terminal.status(task.status, task.condition)} · ${facts.join(" · ")}`,
    paint(
      "dim",
      `${sanitize(task.repository)} · ${sanitize(task.branch)} → ${sanitize(task.baseBranch)} · requested ${ago(task.createdAt, now)}`,
    ),
    "",
    ...(stopped ? [`${paint("red", "■")} ${paint("red", sanitize(describeHold(stopped)))}`] : []),
    `${paint("dim", "Why ")}  ${sanitize(why)}${queuePosition(waits)}`,
    `${paint("dim", "Next")}  ${sanitize(next)}`,
  ];
}

function timeline(terminal: Terminal, story: StoryView, now: Date): string[] {
  const { paint } = terminal;
  const current = story.timeline.findLast(({ status }) => status !== null);
  const columns = [
    { head: "", drop: 0, cell: ({ at }: TimelineEntry) => paint("dim", at.slice(11, 19)) },
    {
      head: "",
      drop: 0,
      cell: ({ status }: TimelineEntry) => (status === null ? paint("gray", "·") : terminal.status(status)),
    },
    { head: "", drop: 0, align: "right" as const, cell: (entry: TimelineEntry) => entryDuration(entry) },
    { head: "", drop: 1, shrinkTo: 10, cell: ({ actor }: TimelineEntry) => paint("dim", sanitize(actor ?? "")) },
    { head: "", drop: 0, shrinkTo: 20, cell: ({ text }: TimelineEntry) => sanitize(text) },
  ];
  const { columns: width } = terminal;
  const lines = renderTable({ ...terminal, columns: width - 2 }, columns, story.timeline).slice(1);
  const day = story.timeline[0]?.at.slice(0, 10);
  return day === undefined ? [] : [paint("dim", `${day} (UTC)`), ...lines];

  function entryDuration(entry: TimelineEntry): string {
    if (entry.tookMs !== null) return formatDuration(entry.tookMs);
    const lasts = entry === current && story.task.completedAt === null;
    return lasts ? paint("cyan", `${formatDuration(now.getTime() - Date.parse(entry.at))}…`) : "";
  }
}
type TimelineEntry = StoryView["timeline"][number];

function attempts({ paint }: Terminal, story: StoryView): string[] {
  return story.attempts.map(({ attempt, outcome, tookMs, failure }) => {
    const took = tookMs === null ? "" : paint("dim", ` after ${formatDuration(tookMs)}`);
    const why = failure ? `: ${sanitize(failure.class)} · ${sanitize(failure.summary || failure.reason)}` : "";
    return `${attempt + 1}  ${sanitize(outcome)}${took}${why}`;
  });
}

function agent({ paint }: Terminal, { agent: seen, task }: StoryView): string[] {
  if (!seen) return [];
  const beat =
    seen.heartbeatAgeMs === null
      ? "no heartbeat yet"
      : `heartbeat ${seen.health}, ${formatDuration(seen.heartbeatAgeMs)} old`;
  const idle = seen.idleMs === null ? "" : ` · last progress ${formatDuration(seen.idleMs)} ago`;
  const session = task.session === null ? "" : ` · ${sanitize(task.session)}`;
  return [
    `${seen.runtime}${session} · pane ${seen.pane} · ${beat}${idle}`,
    ...(seen.drift ? [paint("yellow", sanitize(seen.drift))] : []),
  ];
}

function pullRequest({ paint }: Terminal, { pullRequest: request }: StoryView): string[] {
  if (!request) return [];
  const size =
    request.files === null
      ? ""
      : ` · ${paint("green", `+${request.additions ?? 0}`)} ${paint("red", `−${request.deletions ?? 0}`)} in ${plural(request.files, "file")}`;
  return [
    `#${request.number} ${request.state} · ${sanitize(request.title)}${size}`,
    ...(request.url ? [sanitize(request.url)] : []),
  ];
}

function checks(terminal: Terminal, { ci }: StoryView): string[] {
  return ci.map(({ name, state, tookMs }) => {
    const took = tookMs === null ? "" : terminal.paint("dim", ` ${formatDuration(tookMs)}`);
    return `${terminal.mark(state === "pending" ? null : state === "passing")} ${sanitize(name)}${took}`;
  });
}

const VERDICTS: Readonly<Record<string, boolean>> = { approve: true, request_changes: false };

function reviews(terminal: Terminal, story: StoryView): string[] {
  return story.reviews.flatMap(({ reviewer, verdict, summary, findings }) => [
    `${terminal.mark(VERDICTS[verdict] ?? null)} ${sanitize(reviewer)}  ${verdict.replace("_", " ")}  ${terminal.paint("dim", sanitize(summary))}`,
    ...findings.map(({ file, line, severity, message }) => {
      const where = file === null ? "" : `${sanitize(file)}${line === null ? "" : `:${line}`}  `;
      return `    ${terminal.paint("yellow", sanitize(severity))}  ${where}${sanitize(message)}`;
    }),
  ]);
}

function definitionOfDone(terminal: Terminal, story: StoryView): string[] {
  return story.done.map(({ name, state, evidence }) => {
    const holds = state === "open" ? null : state === "holds";
    return `${terminal.mark(holds)} ${sanitize(name)}  ${terminal.paint("dim", sanitize(evidence))}`;
  });
}

function lessons(_terminal: Terminal, story: StoryView): string[] {
  return story.learnt.map((lesson) => `• ${sanitize(lesson)}`);
}

/** A task's story on a terminal: what it is, why it is where it is, what happened, what it left. */
import { sayHold } from "../../domain/task/kill-switch.ts";
import type { StoryView } from "../../views/task-details.ts";
import { tableOf } from "./table.ts";
import { shown, type Terminal } from "./terminal.ts";
import { ago, plural, span, spendOf } from "./format.ts";

type Part = (terminal: Terminal, story: StoryView, now: Date) => string[];

const PARTS: readonly (readonly [title: string, part: Part])[] = [
  ["Timeline", timeline],
  ["Attempts", attempts],
  ["Agent", agent],
  ["Pull request", pullRequest],
  ["CI", checks],
  ["Reviews", reviews],
  ["Definition of done", done],
  ["Learnt", learnt],
];

export function storyLines(terminal: Terminal, story: StoryView, now: Date): string[] {
  return [...head(terminal, story, now), ...partLines(terminal, story, { now, parts: PARTS })];
}

/** What became of it, without how: for several stories in a row. */
export function shortStoryLines(terminal: Terminal, story: StoryView, now: Date): string[] {
  const [title = "", status = ""] = head(terminal, story, now);
  const parts = PARTS.filter(([name]) => name === "Attempts" || name === "Reviews");
  return [`${title}  ${status}`, ...partLines(terminal, story, { now, parts }).filter((line) => line !== "")];
}

function partLines(
  terminal: Terminal,
  story: StoryView,
  { now, parts }: { readonly now: Date; readonly parts: typeof PARTS },
): string[] {
  const lines: string[] = [];
  for (const [title, part] of parts) {
    const inside = part(terminal, story, now);
    if (inside.length > 0)
      lines.push("", terminal.paint("bold", title), ...inside.map((line) => `  ${line}`.trimEnd()));
  }
  return lines;
}

function placeOf(waits: StoryView["waits"]): string {
  if (typeof waits?.position !== "number") return "";
  return waits.position === 0
    ? " It is next."
    : ` ${waits.position} ${waits.position === 1 ? "is" : "are"} called before it.`;
}

function head(terminal: Terminal, { task, why, next, stopped, waits }: StoryView, now: Date): string[] {
  const { paint } = terminal;
  const model = task.model === null ? "" : ` (${shown(task.model)})`;
  const facts = [
    `attempt ${task.attempt + 1} of ${task.maxRetries + 1}`,
    `${task.agentType}${model}`,
    ...(task.host === null ? [] : [`on ${shown(task.host)}`]),
    spendOf(task.spend),
  ].filter((fact) => fact !== "–");
  return [
    `${paint("bold", shown(task.title))}  ${paint("dim", task.shortId)}`,
    `${terminal.status(task.status, task.condition)} · ${facts.join(" · ")}`,
    paint(
      "dim",
      `${shown(task.repository)} · ${shown(task.branch)} → ${shown(task.baseBranch)} · asked ${ago(task.createdAt, now)}`,
    ),
    "",
    ...(stopped ? [`${paint("red", "■")} ${paint("red", shown(sayHold(stopped)))}`] : []),
    `${paint("dim", "Why ")}  ${shown(why)}${placeOf(waits)}`,
    `${paint("dim", "Next")}  ${shown(next)}`,
  ];
}

function timeline(terminal: Terminal, story: StoryView, now: Date): string[] {
  const { paint } = terminal;
  const current = story.timeline.findLast(({ status }) => status !== null);
  const columns = [
    { head: "", drop: 0, cell: ({ at }: Entry) => paint("dim", at.slice(11, 19)) },
    {
      head: "",
      drop: 0,
      cell: ({ status }: Entry) => (status === null ? paint("gray", "·") : terminal.status(status)),
    },
    { head: "", drop: 0, align: "right" as const, cell: (entry: Entry) => tookOf(entry) },
    { head: "", drop: 1, shrinkTo: 10, cell: ({ actor }: Entry) => paint("dim", shown(actor ?? "")) },
    { head: "", drop: 0, shrinkTo: 20, cell: ({ text }: Entry) => shown(text) },
  ];
  const { columns: width } = terminal;
  const lines = tableOf({ ...terminal, columns: width - 2 }, columns, story.timeline).slice(1);
  const day = story.timeline[0]?.at.slice(0, 10);
  return day === undefined ? [] : [paint("dim", `${day} (UTC)`), ...lines];

  function tookOf(entry: Entry): string {
    if (entry.tookMs !== null) return span(entry.tookMs);
    const lasts = entry === current && story.task.completedAt === null;
    return lasts ? paint("cyan", `${span(now.getTime() - Date.parse(entry.at))}…`) : "";
  }
}
type Entry = StoryView["timeline"][number];

function attempts({ paint }: Terminal, story: StoryView): string[] {
  return story.attempts.map(({ attempt, outcome, tookMs, failure }) => {
    const took = tookMs === null ? "" : paint("dim", ` after ${span(tookMs)}`);
    const why = failure ? `: ${shown(failure.class)} · ${shown(failure.summary || failure.reason)}` : "";
    return `${attempt + 1}  ${shown(outcome)}${took}${why}`;
  });
}

function agent({ paint }: Terminal, { agent: seen, task }: StoryView): string[] {
  if (!seen) return [];
  const beat =
    seen.heartbeatAgeMs === null ? "no heartbeat yet" : `heartbeat ${seen.health}, ${span(seen.heartbeatAgeMs)} old`;
  const idle = seen.idleMs === null ? "" : ` · last progress ${span(seen.idleMs)} ago`;
  const session = task.session === null ? "" : ` · ${shown(task.session)}`;
  return [
    `${seen.runtime}${session} · pane ${seen.pane} · ${beat}${idle}`,
    ...(seen.drift ? [paint("yellow", shown(seen.drift))] : []),
  ];
}

function pullRequest({ paint }: Terminal, { pullRequest: request }: StoryView): string[] {
  if (!request) return [];
  const size =
    request.files === null
      ? ""
      : ` · ${paint("green", `+${request.additions ?? 0}`)} ${paint("red", `−${request.deletions ?? 0}`)} in ${plural(request.files, "file")}`;
  return [
    `#${request.number} ${request.state} · ${shown(request.title)}${size}`,
    ...(request.url ? [shown(request.url)] : []),
  ];
}

function checks(terminal: Terminal, { ci }: StoryView): string[] {
  return ci.map(({ name, state, tookMs }) => {
    const took = tookMs === null ? "" : terminal.paint("dim", ` ${span(tookMs)}`);
    return `${terminal.mark(state === "pending" ? null : state === "passing")} ${shown(name)}${took}`;
  });
}

const VERDICTS: Readonly<Record<string, boolean>> = { approve: true, request_changes: false };

function reviews(terminal: Terminal, story: StoryView): string[] {
  return story.reviews.flatMap(({ reviewer, verdict, summary, findings }) => [
    `${terminal.mark(VERDICTS[verdict] ?? null)} ${shown(reviewer)}  ${verdict.replace("_", " ")}  ${terminal.paint("dim", shown(summary))}`,
    ...findings.map(({ file, line, severity, message }) => {
      const where = file === null ? "" : `${shown(file)}${line === null ? "" : `:${line}`}  `;
      return `    ${terminal.paint("yellow", shown(severity))}  ${where}${shown(message)}`;
    }),
  ]);
}

function done(terminal: Terminal, story: StoryView): string[] {
  return story.done.map(({ name, state, evidence }) => {
    const holds = state === "open" ? null : state === "holds";
    return `${terminal.mark(holds)} ${shown(name)}  ${terminal.paint("dim", shown(evidence))}`;
  });
}

function learnt(_terminal: Terminal, story: StoryView): string[] {
  return story.learnt.map((lesson) => `• ${shown(lesson)}`);
}

/** The demo's progress: on a terminal a table that is redrawn in place with the latest news below, elsewhere one line per change. */
import type { StoryView } from "../../../views/task-details.ts";
import { renderTable, type Column } from "../../print/table.ts";
import type { Terminal } from "../../print/terminal.ts";
import { formatDuration } from "../../print/format.ts";

export interface Board {
  show(stories: readonly StoryView[]): void;
  /** Ends the updates; the last picture stays. */
  end(): void;
}

type TimelineEntry = StoryView["timeline"][number];

interface News extends TimelineEntry {
  readonly title: string;
}

const MAX_NEWS = 8;
const TITLE_CELLS = 16;
const UP_AND_CLEAR = (lines: number) => (lines === 0 ? "" : `\u001B[${lines}A\u001B[J`);

export function openBoard(terminal: Terminal, clock: () => Date): Board {
  const startedAt = clock().getTime();
  let drawn = 0;
  const printed = new Set<string>();

  function draw(stories: readonly StoryView[], news: readonly News[]): void {
    const now = clock();
    const board = renderTable(terminal, columnsOf(terminal, now), stories);
    const latest = news.slice(-MAX_NEWS).map((entry) => newsLine(terminal, entry, startedAt));
    const lines = ["", ...board, "", ...latest].map((line) => (line === "" ? line : `  ${line}`));
    terminal.raw(`${UP_AND_CLEAR(drawn)}${lines.join("\n")}\n`);
    drawn = lines.length;
  }

  /** Each entry once. The tasks are read one after the other, so an older entry may arrive later. */
  function printNews(news: readonly News[]): void {
    for (const entry of news) {
      const key = `${entry.title} ${entry.at} ${entry.status}`;
      if (!printed.has(key)) terminal.line(newsLine(terminal, entry, startedAt));
      printed.add(key);
    }
  }

  return {
    show(stories) {
      const news = collectNews(stories);
      if (terminal.isTty) draw(stories, news);
      else printNews(news);
    },
    end() {
      if (terminal.isTty) terminal.line();
    },
  };
}

function columnsOf(terminal: Terminal, now: Date): Column<StoryView>[] {
  const { paint, sanitize, mark } = terminal;
  return [
    { head: "TASK", drop: 0, cell: ({ task }) => paint("bold", sanitize(task.title)) },
    { head: "STATUS", drop: 0, cell: ({ task }) => terminal.status(task.status, task.condition) },
    { head: "TRY", drop: 2, cell: ({ task }) => `${task.attempt + 1}/${task.maxRetries + 1}` },
    { head: "PR", drop: 3, cell: ({ pullRequest }) => (pullRequest ? `#${pullRequest.number}` : "") },
    { head: "CI", drop: 0, cell: ({ task }) => mark(CI[task.ciStatus] ?? null) },
    {
      head: "REVIEWS",
      drop: 0,
      cell: ({ reviews }) =>
        reviews.map(({ reviewer, verdict }) => `${mark(VERDICTS[verdict] ?? null)} ${sanitize(reviewer)}`).join("  "),
    },
    {
      head: "FOR",
      drop: 1,
      align: "right",
      cell: ({ task }) =>
        formatDuration((task.completedAt ? Date.parse(task.completedAt) : now.getTime()) - Date.parse(task.createdAt)),
    },
  ];
}

const CI: Readonly<Record<string, boolean>> = { passing: true, failing: false };
const VERDICTS: Readonly<Record<string, boolean>> = { approve: true, request_changes: false };

/** The news of all tasks in order of time. Requests are left out, only their outcomes are shown. */
function collectNews(stories: readonly StoryView[]): News[] {
  return stories
    .flatMap(({ task, timeline }) => timeline.map((entry) => ({ ...entry, title: task.title })))
    .filter(({ status }) => status !== null)
    .toSorted((a, b) => a.at.localeCompare(b.at));
}

function newsLine({ paint, status, sanitize }: Terminal, entry: News, startedAt: number): string {
  const at = `${(Math.max(0, Date.parse(entry.at) - startedAt) / 1_000).toFixed(1)}s`;
  const [, detail = ""] = /^[^:]*: (.*)$/s.exec(entry.text) ?? [];
  const state = entry.status ? status(entry.status) : "";
  return `${paint("dim", at.padStart(6))}  ${sanitize(entry.title).padEnd(TITLE_CELLS)}  ${state}  ${paint("dim", sanitize(detail))}`.trimEnd();
}

/** fleet demo: three tasks at once on a small real repository (one succeeds, one is fixed after a failed check, one after a review), then two work orders. */
import { setTimeout as pause } from "node:timers/promises";
import { SpawnRequest } from "../../../domain/task/spawn.ts";
import { requirePrograms } from "../../../processes/preflight.ts";
import { LOCAL_OPERATOR } from "../../../domain/operator.ts";
import { AuditProof, InvariantsView } from "../../../views/integrity.ts";
import { StoryView } from "../../../views/task-details.ts";
import { MergedView, TaskView } from "../../../views/task.ts";
import { connectApi, type Api } from "../../client/api.ts";
import type { Command, Shell } from "../../command.ts";
import { openProgress } from "../../print/progress.ts";
import { shortStoryLines } from "../../print/story-lines.ts";
import { formatDuration } from "../../print/format.ts";
import { openBoard } from "./board.ts";
import { runOrders, orderStoryLines, type DemoOrder } from "./orders.ts";
import { endWorld, saveLog, makePaths, makeRepository, startWorld, type DemoPaths, type DemoWorld } from "./world.ts";

export const demoCommand: Command = {
  usage: "demo",
  summary: "try it: three tasks and two work orders on a small repository, in half a minute",
  options: [["--keep", "leave it running until Ctrl-C, to explore it"]],
  examples: ["fleet demo", "fleet demo --keep", "fleet demo --json | jq .tasks"],

  async run(shell, _args, { keep }) {
    await requirePrograms();
    const interrupted = interruptSignal(shell.world.signal);
    const paths = await makePaths();
    let world: DemoWorld | undefined;
    try {
      await makeRepository(paths);
      world = await start(shell, paths);
      const outcome = await runDemo(shell, world, interrupted);
      printOutcome(shell, outcome, { keep: keep === true });
      if (keep) await waitForInterrupt(shell, world, interrupted);
      return outcome.wrong.length === 0 ? 0 : 1;
    } catch (error) {
      if (interrupted.aborted) {
        shell.terminal.note("Interrupted; cleaning up.");
        return 130;
      }
      const log = await saveLog(paths);
      const { terminal } = shell;
      terminal.note(`${terminal.paint("red", "✖")} The demo failed.${log ? ` Its log: ${log}` : ""}`);
      throw error;
    } finally {
      await endWorld(paths, world);
    }
  },
};

/** The stub agent plays each of these; the last word of a script is what it does at its second attempt. */
const TASKS = [
  {
    title: "Greet in French",
    script: "succeed",
    description: "Greet in French\n\nAdd a French greeting.",
    lesson: "It worked at the first attempt.",
    attempts: 1,
    learntFrom: undefined,
  },
  {
    title: "Greet by name",
    script: "fail-then-fix",
    description: "Greet by name\n\nCheck that everybody is greeted by name.",
    lesson: "Its checks failed; the next attempt received the output and fixed the problem.",
    attempts: 2,
    learntFrom: "ci_failed",
  },
  {
    title: "Greet at night",
    script: "objectionable-then-fix",
    description: "Greet at night\n\nSay good evening after six.",
    lesson: "A reviewer requested changes; the next attempt received the review and made them.",
    attempts: 2,
    learntFrom: "review_rejected",
  },
] as const;

interface DemoOutcome {
  readonly seconds: number;
  readonly stories: readonly StoryView[];
  readonly orders: readonly DemoOrder[];
  readonly merged: { readonly title: string; readonly bringHome: string | null };
  readonly proof: { readonly audit: AuditProof; readonly invariants: InvariantsView };
  /** What differs from what the demo promises; normally empty. */
  readonly wrong: readonly string[];
}

const SETTLED_STATUSES: ReadonlySet<string> = new Set(["ready", "merged", "abandoned", "cancelled"]);
const POLL_MS = 200;
/** The demo takes 10 to 20 s, so after this long something is wrong. */
const MAX_DEMO_MS = 120_000;

/** Ctrl-C, SIGTERM, or a terminal that was closed. */
function interruptSignal(signal: AbortSignal): AbortSignal {
  const terminated = new AbortController();
  for (const name of ["SIGTERM", "SIGHUP"] as const) process.once(name, () => terminated.abort());
  return AbortSignal.any([signal, terminated.signal]);
}

async function start({ terminal, world, json }: Shell, paths: DemoPaths): Promise<DemoWorld> {
  if (json) return startWorld(paths, () => {});
  terminal.line(`${terminal.paint("bold", "Fleetwright")}  a demo in ${paths.root}, which is removed afterwards`);
  const progress = openProgress(terminal, world.clock);
  let failed = true;
  try {
    const started = await startWorld(paths, (sentence) => progress.update(`${sentence} …`));
    failed = false;
    return started;
  } finally {
    progress.end(
      failed
        ? terminal.mark(false)
        : `${terminal.mark(true)} PostgreSQL, queues, API and worker run; stub agents, real git and tmux`,
    );
  }
}

async function runDemo(
  shell: Shell,
  { credentials, repository }: DemoWorld,
  interrupted: AbortSignal,
): Promise<DemoOutcome> {
  const { clock } = shell.world;
  const startedAt = clock().getTime();
  const api = connectApi(credentials);
  const tasks = await Promise.all(
    TASKS.map(({ title, description, script }) =>
      api.request(
        "POST /api/fleet/spawn",
        { body: SpawnRequest.parse({ repository, title, description, script, agentType: "stub" }) },
        TaskView,
      ),
    ),
  );
  const ids = tasks.map(({ id }) => id);
  const stories = await watchTasks(shell, api, ids, interrupted);
  const wrong = TASKS.flatMap((task, at) => taskProblems(task, stories[at]));
  if (wrong.length > 0) throw new Error(wrong.join("\n"));

  const [first = ""] = ids;
  const merged = await api.request(
    "POST /api/fleet/tasks/:task/merge",
    { path: { task: first }, body: {} },
    MergedView,
  );
  const orders = await runOrders(shell, api, interrupted);
  const proof = {
    audit: await api.request("GET /api/fleet/audit/verify", {}, AuditProof),
    invariants: await api.request("GET /api/fleet/invariants", {}, InvariantsView),
  };
  const broken = proof.invariants.invariants
    .filter(({ holds }) => holds === false)
    .map(({ id, statement }) => `${id} does not hold: ${statement}`);
  return {
    seconds: (clock().getTime() - startedAt) / 1_000,
    stories: await fetchStories(api, ids),
    orders,
    merged: { title: merged.title, bringHome: merged.bringHome },
    proof,
    wrong: broken,
  };
}

async function watchTasks(
  { terminal, world, json }: Shell,
  api: Api,
  ids: readonly string[],
  interrupted: AbortSignal,
): Promise<StoryView[]> {
  const deadline = world.clock().getTime() + MAX_DEMO_MS;
  const board = json ? undefined : openBoard(terminal, world.clock);
  for (;;) {
    interrupted.throwIfAborted();
    const stories = await fetchStories(api, ids);
    board?.show(stories);
    if (stories.every(({ task }) => SETTLED_STATUSES.has(task.status))) {
      board?.end();
      return stories;
    }
    if (world.clock().getTime() > deadline) {
      const late = stories
        .filter(({ task }) => !SETTLED_STATUSES.has(task.status))
        .map(({ task, why }) => `${task.title} is ${task.status}: ${why}`);
      throw new Error(`The demo did not finish within ${formatDuration(MAX_DEMO_MS)}:\n${late.join("\n")}`);
    }
    await pause(POLL_MS, undefined, { signal: interrupted });
  }
}

async function fetchStories(api: Api, ids: readonly string[]): Promise<StoryView[]> {
  const story = (task: string) => api.request("GET /api/fleet/tasks/:task/story", { path: { task } }, StoryView);
  return Promise.all(ids.map((id) => story(id)));
}

function taskProblems(wanted: (typeof TASKS)[number], story: StoryView | undefined): string[] {
  if (!story) return [`${wanted.title} has no recorded history.`];
  const { task, attempts } = story;
  if (task.status !== "ready") return [`${wanted.title} ended ${task.status}: ${story.why}`];
  if (attempts.length !== wanted.attempts)
    return [`${wanted.title} took ${attempts.length} attempts, not ${wanted.attempts}.`];
  const failedBy = attempts[0]?.failure?.class;
  return failedBy === wanted.learntFrom
    ? []
    : [`${wanted.title} failed by ${failedBy ?? "nothing"}, not by ${wanted.learntFrom ?? "nothing"}.`];
}

function printOutcome(shell: Shell, outcome: DemoOutcome, { keep }: { readonly keep: boolean }): void {
  const { terminal, json, world } = shell;
  const { seconds, stories, merged, proof, wrong } = outcome;
  const { audit, invariants } = proof;
  if (json) {
    const tasks = stories.map(({ task, attempts }) => ({
      id: task.id,
      title: task.title,
      status: task.status,
      attempts: attempts.length,
      learntFrom: attempts[0]?.failure?.class ?? null,
    }));
    terminal.json({
      ok: wrong.length === 0,
      seconds,
      tasks,
      merged: merged.title,
      orders: outcome.orders.map(({ order, story }) => ({
        id: order.id,
        intent: order.intent,
        status: order.status,
        evidence: story.artifacts.map(({ name }) => name),
        verified: story.verified?.ok ?? false,
      })),
      auditHolds: audit.broken.length === 0,
      invariantsHold: invariants.ok,
    });
    return;
  }
  terminal.line();
  for (const [at, story] of stories.entries()) {
    const [head = "", ...rest] = shortStoryLines(terminal, story, world.clock());
    for (const line of [head, `  ${TASKS[at]?.lesson ?? ""}`, ...rest.map((one) => `  ${one}`), ""])
      terminal.line(line);
  }
  for (const line of orderStoryLines(shell, outcome.orders)) terminal.line(line);
  const held = invariants.invariants.filter(({ holds }) => holds).length;
  terminal.line(`${terminal.mark(true)} ${merged.title} is merged; the other two wait for your decision.`);
  terminal.line(
    `${terminal.mark(audit.broken.length === 0)} ${audit.entries} audit entries in ${audit.chains} chains, recomputed`,
  );
  terminal.line(`${terminal.mark(invariants.ok)} ${held} invariants hold`);
  for (const line of wrong) terminal.line(`${terminal.mark(false)} ${line}`);
  terminal.line(`${terminal.mark(true)} ${terminal.paint("bold", `${seconds.toFixed(1)} s`)} from start to last check`);
  if (!keep) for (const line of NEXT_STEPS) terminal.line(line);
}

const NEXT_STEPS = [
  "",
  "Next",
  "  npx fleet up                run it for yourself; Ctrl-C stops it",
  '  npx fleet spawn <repository> "what to do" --agent-type stub --wait',
  "                              from another terminal, on a repository of yours",
  "  npx fleet init              have a repository of yours validated and tested on schedule",
  "  npx fleet doctor            which agents and tools this machine has",
  "  npm run demo -- --keep      the same, left running for you to explore",
];

async function waitForInterrupt(
  { terminal, json }: Shell,
  { stack, home, repository }: DemoWorld,
  interrupted: AbortSignal,
): Promise<void> {
  const link = await stack.web.loginLinkFor(LOCAL_OPERATOR);
  if (json) terminal.json({ url: stack.web.url, login: link, home, repository });
  else {
    const facts = [
      ["API", `${stack.web.url}/api/docs`],
      ["Show", `FLEET_HOME=${home} npx fleet ps --all`],
      ["Spawn", `FLEET_HOME=${home} npx fleet spawn ${repository} "Wave" --agent-type stub --wait`],
    ];
    terminal.line();
    for (const [name = "", value = ""] of facts) terminal.line(`  ${terminal.paint("dim", name.padEnd(7))}${value}`);
    terminal.line(`  ${terminal.paint("dim", "Board")}  this link logs your browser in, once:`);
    terminal.line(link);
    terminal.line(terminal.paint("dim", "  It runs until Ctrl-C; then everything is cleaned up."));
  }
  if (!interrupted.aborted)
    await new Promise((resolve) => interrupted.addEventListener("abort", resolve, { once: true }));
}

/**
 * What must hold when the fleet is idle again: the invariants of the store, and what only disk, git and tmux can
 * show.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { listProcesses, readEnvironment } from "../../src/command/process-tree.ts";
import { checkInvariants } from "../../src/conductor/watch/invariants.ts";
import { runGit } from "../support/repositories.ts";
import type { ChaosEnvironment } from "./environment.ts";

export interface Proof {
  readonly id: string;
  readonly statement: string;
  readonly violations: readonly string[];
}

const MAX_VIOLATIONS = 20;

export async function proveAll(stage: ChaosEnvironment, requested: ReadonlyMap<string, string>): Promise<Proof[]> {
  const library = (await checkInvariants(stage.open.fleet)).map(({ id, statement, violations }) => ({
    id,
    statement,
    violations,
  }));
  return [
    ...library,
    proof(
      "requested",
      "every requested task exists exactly once, and no other does",
      await lostOrDuplicated(stage, requested),
    ),
    proof("ends", "every task ended, once", await wrongEndings(stage)),
    proof("runs", "an attempt's agent was started at most once", duplicateRuns(stage)),
    proof(
      "commits",
      "a branch has at most one commit per attempt, and what is merged is there once",
      await wrongCommits(stage),
    ),
    proof("pulls", "no branch has two pull requests that count", await duplicatePulls(stage)),
    proof("notified", "every notification is delivered", await undelivered(stage)),
    proof("R4", "no process, session, workspace, slot or lock is left", await leftovers(stage)),
  ];
}

function proof(id: string, statement: string, violations: readonly string[]): Proof {
  return { id, statement, violations: violations.slice(0, MAX_VIOLATIONS) };
}

async function texts(stage: ChaosEnvironment, sql: string): Promise<string[]> {
  return (await stage.query(sql)).map((row) => String(row["violation"]));
}

async function lostOrDuplicated(stage: ChaosEnvironment, requested: ReadonlyMap<string, string>): Promise<string[]> {
  const rows = await stage.query("select id, idempotency_key as key from fleet_tasks");
  const byKey = new Map<string, string[]>();
  for (const { id, key } of rows) byKey.set(String(key), [...(byKey.get(String(key)) ?? []), String(id)]);
  const wrong: string[] = [];
  for (const [key, id] of requested) {
    const ids = byKey.get(key) ?? [];
    if (ids.length !== 1 || ids[0] !== id) wrong.push(`${key} was answered ${id}, and is ${ids.join(", ") || "lost"}`);
  }
  for (const key of byKey.keys()) if (!requested.has(key)) wrong.push(`${key} is there and nobody was told`);
  return wrong;
}

function wrongEndings(stage: ChaosEnvironment): Promise<string[]> {
  return texts(
    stage,
    `select t.id || ' (' || (t.metadata->>'script') || ') is ' || t.status || ' with ' || count(a.*) || ' ends: ' ||
       coalesce(t.condition_detail::text, '') || (
         select string_agg(s.action || coalesce(' (' || (s.detail->>'reason') || ')', ''), ', ' order by s.seq) from audit_log s
         where s.task_id = t.id) as violation
     from fleet_tasks t left join audit_log a on a.task_id = t.id and a.detail->>'to' in ('merged', 'abandoned', 'cancelled')
     group by t.id having t.completed_at is null or count(a.*) <> 1 or
       t.status <> case when t.agent_type = 'command' or t.metadata->>'script' = 'exit-1' then 'abandoned' else 'merged' end`,
  );
}

/** The stub prints one line when it begins: two of them in one attempt mean two agents. */
function duplicateRuns({ home }: ChaosEnvironment): string[] {
  const wrong: string[] = [];
  const root = join(home, "attempts");
  for (const task of list(root)) {
    if (task.startsWith(".")) continue;
    for (const attempt of list(join(root, task))) {
      const log = join(root, task, attempt, "output.log");
      const begun = readIfFile(log).match(/^Stub agent, script/gm)?.length ?? 0;
      if (begun > 1) wrong.push(`attempt ${attempt} of ${task} began ${begun} times`);
    }
    const dispatches = list(join(root, task)).filter((name) => readIfFile(join(root, task, name, "output.log")) !== "");
    const numbers = dispatches.map((name) => name.split("~")[0]);
    if (new Set(numbers).size < numbers.length)
      wrong.push(`${task} has attempts that ran under two dispatches: ${dispatches.join(", ")}`);
  }
  return wrong;
}

async function wrongCommits(stage: ChaosEnvironment): Promise<string[]> {
  const wrong: string[] = [];
  const tasks = await stage.query("select id, repository, branch, base_branch, attempt, status from fleet_tasks");
  for (const repository of Object.values(stage.repositories)) {
    const log = runGit(repository, "log", "--format=%B", "main");
    const merged = countBy([...log.matchAll(/^Fleet-Task: (.+)$/gm)].map(([, id = ""]) => id));
    const branches = new Set(runGit(repository, "for-each-ref", "--format=%(refname:short)", "refs/heads").split("\n"));
    for (const task of tasks.filter((one) => one["repository"] === repository)) {
      const id = String(task["id"]);
      const times = merged.get(id) ?? 0;
      const due = task["status"] === "merged" ? 1 : 0;
      if (times !== due) wrong.push(`${id} is ${String(task["status"])} and is in main ${times} times`);
      const branch = String(task["branch"]);
      if (!branches.has(branch)) continue;
      const commits = Number(runGit(repository, "rev-list", "--count", branch, "--not", "main"));
      if (commits > Number(task["attempt"]) + 1)
        wrong.push(`${branch} has ${commits} commits of ${Number(task["attempt"]) + 1} attempts`);
    }
  }
  return wrong;
}

function duplicatePulls(stage: ChaosEnvironment): Promise<string[]> {
  return texts(
    stage,
    `select head_branch || ' has ' || count(*) || ' pull requests' as violation from pull_requests
     where state <> 'closed' group by repository, head_branch having count(*) > 1
     union all select 'pull request ' || number || ' of ' || head_branch || ' is still open' from pull_requests where state = 'open'`,
  );
}

function undelivered(stage: ChaosEnvironment): Promise<string[]> {
  return texts(
    stage,
    `select id || ' (' || type || ' to ' || channel || ') is ' || status || ' after ' || tries || ' tries: ' || coalesce(last_error, '')
       as violation from fleet_notifications where status not in ('delivered', 'merged')`,
  );
}

async function leftovers(stage: ChaosEnvironment): Promise<string[]> {
  const { home } = stage;
  const found: string[] = [];
  const ours = `FLEET_RUN=${join(home, "attempts")}/`;
  for (const { pid, state } of listProcesses()) {
    if (state !== "Z" && readEnvironment(pid).some((entry) => entry.startsWith(ours)))
      found.push(`process ${pid} of an agent runs`);
  }
  for (const { kind, name } of await stage.open.fleet.agents.listOrphans())
    found.push(`${kind} ${name} belongs to nobody`);
  for (const run of list(join(home, "attempts", ".open"))) found.push(`run ${run} is open`);
  for (const name of list(join(home, "workspaces")))
    if (!name.startsWith(".")) found.push(`workspace ${name} is there`);
  for (const name of list(join(home, "ports")).filter((one) => !one.startsWith(".")))
    found.push(`port block ${name} is taken`);
  found.push(
    ...(await texts(
      stage,
      "select operator_id || ' holds ' || active || ' slots' as violation from slots where active <> 0",
    )),
  );
  found.push(
    ...(await texts(
      stage,
      `select 'attempt ' || attempt || ' of ' || task_id || ' is not closed' as violation from attempts where closed_at is null
       union all select 'an advisory lock is held by ' || pid from pg_locks where locktype = 'advisory' and granted
         and pid not in (select pid from pg_stat_activity where application_name in ('chaos', 'fleetwright', ''))
       union all select topic || ' row ' || id || ' was not relayed' from outbox where processed_at is null`,
    )),
  );
  return found;
}

function countBy(names: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}

function list(path: string): string[] {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ? readdirSync(path) : [];
}

function readIfFile(path: string): string {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ? readFileSync(path, "utf8") : "";
}

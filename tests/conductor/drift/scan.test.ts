/** Drift from a real repository, a real tmux server and the rows: found, reported once, stored, accepted; nothing is changed. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { acceptDrift, readDriftReport } from "../../../src/conductor/drift/report.ts";
import { scanProductDrift, scanTenantDrift } from "../../../src/conductor/drift/scan.ts";
import { checkDrift } from "../../../src/conductor/orders/intents/drift-check.ts";
import { listProducts } from "../../../src/conductor/products/products.ts";
import { LOCAL_OPERATOR } from "../../../src/domain/operator.ts";
import { DriftEvent, DriftReportDocument } from "../../../src/domain/drift/report.ts";
import { anIntentRequest } from "../../support/intents.ts";
import { testFleet, type TestFleet } from "../../support/fleet.ts";
import { commitFiles, runGit, testFolder } from "../../support/repositories.ts";

const LOOK_AT = { id: "ada", tenantId: "local", tier: "builder" } as const;

async function aLockedProduct(fleet: TestFleet) {
  const repository = await fleet.aRepository();
  const files = {
    "package.json": '{"engines": {"node": ">=18"}}',
    "package-lock.json": '{"packages": {"": {"engines": {"node": ">=18"}}}}',
  };
  commitFiles(repository, files, "lock");
  const product = fleet.fleet.settings.products.find((known) => known.repository === repository);
  if (!product) throw new Error("There is no such product.");
  return { repository, product };
}

const open = (fleet: TestFleet) =>
  fleet.query("select subject, what, severity from drift_reports where status = 'open' order by subject, what");

test("a changed lock file is found once, reported once, and no longer open after it is accepted", async () => {
  await using fleet = await testFleet();
  const by = await fleet.operator(LOOK_AT);
  const { repository, product } = await aLockedProduct(fleet);
  await scanTenantDrift(fleet.fleet, "local");
  expect((await open(fleet)).filter(({ subject }) => String(subject).startsWith("product:"))).toEqual([]);

  commitFiles(repository, { "package-lock.json": '{"packages": {"": {"engines": {"node": ">=18"}}, "x": {}}}' });
  const before = contentOf(repository);
  const [first, again] = [await scanProductDrift(fleet.fleet, product), await scanProductDrift(fleet.fleet, product)];
  await fleet.processHints();

  expect(first.newFindings.map(({ what, severity }) => [what, severity])).toEqual([
    ["lockfile package-lock.json", "medium"],
  ]);
  expect(again.newFindings).toEqual([]);
  expect(again.report.findings).toHaveLength(1);
  expect(contentOf(repository)).toEqual(before);
  const printed = fleet.lines.filter((line) => line.includes("package-lock.json"));
  expect(printed).toHaveLength(1);
  expect(
    await fleet.query("select task_id, facts->>'command' as command, status from fleet_notifications"),
  ).toContainEqual({
    task_id: null,
    command: "fleet drift",
    status: "delivered",
  });
  const events = await fleet.query(
    "select payload from outbox where topic = 'event' and payload->>'type' = 'fleet.drift.found'",
  );
  expect(events.map(({ payload }) => DriftEvent.parse(payload).data.findings.map(({ what }) => what))).toContainEqual([
    "lockfile package-lock.json",
  ]);

  const [finding] = (await readDriftReport(fleet.fleet, by, { productId: product.id, all: false })).findings;
  await acceptDrift(fleet.fleet, by, finding?.short_id ?? "", "libraries were updated");
  await scanProductDrift(fleet.fleet, product);

  expect((await readDriftReport(fleet.fleet, by, { productId: product.id, all: false })).findings).toEqual([]);
  const [baseline] = await fleet.query("select accepted_by, reason from drift_baselines where what like 'lockfile%'");
  expect(baseline).toEqual({ accepted_by: "ada", reason: "libraries were updated" });
  const [entry] = await fleet.query("select actor, detail from audit_log where action = 'drift.accepted'");
  expect(entry).toMatchObject({
    actor: "ada",
    detail: { reason: "libraries were updated", findingId: finding?.finding_id },
  });
});

test("concurrent scans find it once and report it once", async () => {
  await using fleet = await testFleet();
  const { repository, product } = await aLockedProduct(fleet);
  await scanProductDrift(fleet.fleet, product);
  commitFiles(repository, { "package-lock.json": "{}" });

  const looks = await Promise.all(Array.from({ length: 4 }, () => scanProductDrift(fleet.fleet, product)));

  expect(looks.map(({ newFindings }) => newFindings.length).toSorted((a, b) => a - b)).toEqual([0, 0, 0, 1]);
  const notifications = await fleet.query("select type, channel, status from fleet_notifications");
  expect(notifications).toEqual([{ type: "drift_found", channel: "terminal", status: "pending" }]);
});

test("a finding keeps its date while it is open, and a removed lock file is reported as missing", async () => {
  const shift = { ms: 0 };
  await using fleet = await testFleet({ parts: { clock: () => new Date(Date.now() + shift.ms) } });
  const { repository, product } = await aLockedProduct(fleet);
  await scanProductDrift(fleet.fleet, product);
  runGit(repository, "rm", "--quiet", "package-lock.json");
  runGit(repository, "commit", "--quiet", "--message", "unlock");

  await scanProductDrift(fleet.fleet, product);
  const [first] = await fleet.query("select since, seen_at, actual from drift_reports");
  shift.ms = 86_400_000;
  await scanProductDrift(fleet.fleet, product);
  const [later] = await fleet.query("select since, seen_at, actual from drift_reports");

  expect(first?.["actual"]).toBeNull();
  expect(later?.["since"]).toEqual(first?.["since"]);
  expect(later?.["seen_at"]).not.toEqual(first?.["seen_at"]);
});

test("a roster agent that runs another command, and one without a session, are found; tmux is only queried", async () => {
  using folder = testFolder();
  const socket = join(folder.path, "tmux.sock");
  const tmux = (...words: string[]) =>
    execFileSync("tmux", ["-S", socket, "-f", "/dev/null", ...words], { encoding: "utf8" });
  tmux("new-session", "-d", "-s", "review", "sleep", "600");
  try {
    const roster = [
      { name: "sleeper", runtime: "sleep", session: "review", socket },
      { name: "reviewer", runtime: "claude", session: "review", socket },
      { name: "scribe", runtime: "codex", session: "notes", socket, host: "here" },
      { name: "far", runtime: "codex", session: "notes", socket, host: "there" },
    ];
    await using fleet = await testFleet({ settings: { roster } });
    const panes = tmux("list-panes", "-a", "-F", "#{session_name} #{pane_pid} #{pane_current_command}");

    await scanTenantDrift(fleet.fleet, "local");

    const found = await fleet.query(
      "select subject, what, declared, actual, severity from drift_reports where subject like 'roster:%' order by subject",
    );
    expect(found).toEqual([
      { subject: "roster:reviewer", what: "runtime", declared: "claude", actual: "sleep", severity: "high" },
      { subject: "roster:scribe", what: "session", declared: "notes", actual: null, severity: "high" },
    ]);
    const report = await readDriftReport(fleet.fleet, LOCAL_OPERATOR, { all: false });
    expect(report.not_checked.map(({ what }) => what)).toContain("roster:far");
    expect(tmux("list-panes", "-a", "-F", "#{session_name} #{pane_pid} #{pane_current_command}")).toBe(panes);
  } finally {
    tmux("kill-server");
  }
});

test("hosts that differ from the others, a missing migration and a changed table are found", async () => {
  await using fleet = await testFleet();
  await fleet.query(`insert into hosts (id, boot_id, reporter, lease_until, slots, versions, load, disk_free_mb)
    select id, 'b', 'r', now() + interval '1 hour', 1, versions::jsonb, 0, 1 from (values
      ('a', '{"git": "git version 2.43.0", "config": "0123"}'), ('b', '{"git": "git version 2.43.0"}'),
      ('c', '{"git": "git version 2.39.5"}')) as host (id, versions)`);
  await fleet.query("alter table looks add column extra text");

  await scanTenantDrift(fleet.fleet, "local");
  expect((await open(fleet)).filter(({ subject }) => subject !== "schedules")).toEqual([
    { subject: "database", what: "table looks", severity: "high" },
    { subject: "host:a", what: "config", severity: "high" },
    { subject: "host:c", what: "git", severity: "low" },
  ]);

  await fleet.query("alter table looks drop column extra");
  await fleet.query("delete from fleet_migrations where name like '0003%'");
  await fleet.query("delete from hosts where id = 'c'");
  await scanTenantDrift(fleet.fleet, "local");
  expect((await open(fleet)).filter(({ subject }) => subject !== "schedules")).toEqual([
    { subject: "database", what: "migration 0003_audit", severity: "high" },
    { subject: "host:a", what: "config", severity: "high" },
  ]);
});

test("an order to check drift stores its report as evidence, and stops its batch when something differs", async () => {
  await using fleet = await testFleet();
  const { repository, product } = await aLockedProduct(fleet);
  const calm = await checkDrift(await anIntentRequest(fleet, product, "drift_check"));
  commitFiles(repository, { "package.json": '{"engines": {"node": ">=999"}}' });
  const { host } = fleet.fleet;
  await fleet.query('update hosts set versions = \'{"node": "v22.1.0"}\' where id = $1', [host.id]);

  const ask = await anIntentRequest(fleet, product, "drift_check");
  const outcome = await checkDrift(ask);

  expect(calm).toMatchObject({ ok: true, message: "no drift" });
  expect(outcome).toMatchObject({
    ok: true,
    exitCode: 0,
    fired: ["on_drift_detected"],
    headSha: runGit(repository, "rev-parse", "HEAD"),
  });
  const report = DriftReportDocument.parse(JSON.parse(await ask.read("drift.json")));
  expect(report.findings.map(({ what, actual }) => [what, actual])).toEqual([
    ["node on here for package.json engines.node", "v22.1.0"],
    ["node in package-lock.json engines.node", ">=18 (package-lock.json engines.node)"],
    ["needs node in package.json engines.node", ">=999"],
  ]);
  expect(report.not_checked.map(({ what }) => what)).toContain("digest of the container image");
});

test("another tenant sees no finding and may accept none", async () => {
  await using fleet = await testFleet();
  const eve = await fleet.operator();
  const { repository, product } = await aLockedProduct(fleet);
  await scanProductDrift(fleet.fleet, product);
  commitFiles(repository, { "package-lock.json": "{}" });
  const { newFindings } = await scanProductDrift(fleet.fleet, product);

  expect(await listProducts(fleet.fleet, eve)).toEqual([]);
  expect((await readDriftReport(fleet.fleet, eve, { all: true })).findings).toEqual([]);
  await expect(acceptDrift(fleet.fleet, eve, newFindings[0]?.id ?? "", "mine")).rejects.toMatchObject({
    code: "not-found",
  });
});

test("a repository that cannot be read is reported as not checked, and its findings stay", async () => {
  await using fleet = await testFleet();
  const { repository, product } = await aLockedProduct(fleet);
  await scanProductDrift(fleet.fleet, product);
  commitFiles(repository, { "package-lock.json": "{}" });
  await scanProductDrift(fleet.fleet, product);
  Object.assign(product, { baseBranch: "nowhere" });
  await fleet.aRepository();
  Object.assign(fleet.fleet.settings.products.at(-1) ?? {}, { status: "planned" });

  await scanTenantDrift(fleet.fleet, "local");

  const report = await readDriftReport(fleet.fleet, LOCAL_OPERATOR, { productId: product.id, all: false });
  expect(report.not_checked[0]).toMatchObject({
    what: `product:${product.id}`,
    why: expect.stringContaining("nowhere"),
  });
  expect(report.findings.map(({ what }) => what)).toContain("lockfile package-lock.json");
  const whole = await readDriftReport(fleet.fleet, LOCAL_OPERATOR, { all: false });
  expect(whole.not_checked.map(({ why }) => why)).toContain("the product's status is planned");
  expect(whole.looked_at).not.toBeNull();
});

/** The content of every file of the checkout, including .git. */
function contentOf(folder: string): Map<string, string> {
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).map((name) => join(folder, name));
  return new Map(files.filter((file) => statSync(file).isFile()).map((file) => [file, readFileSync(file, "latin1")]));
}

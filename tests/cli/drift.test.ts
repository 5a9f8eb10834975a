/**
 * fleet drift and fleet science: what they print, what they request, and that nothing in a report can control a
 * terminal.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { main } from "../../src/cli/main.ts";
import { driftReport, DriftFinding, DriftReportDocument, toDriftFinding } from "../../src/domain/drift/report.ts";
import { scienceIndex, ScienceIndex } from "../../src/domain/science/science-index.ts";
import { defineRoute, type Route } from "../../src/http/route.ts";
import { Acceptance, LookAsked, ScanRequest } from "../../src/views/drift.ts";
import { z } from "zod";
import { testApi, type TestApi } from "../support/api.ts";
import { NOW } from "../support/views.ts";
import { EVIL } from "./answers.ts";

const ID = "01969f7e-0000-7000-8000-0000a1b2c3d4";
const hoursAgo = (hours: number) => new Date(NOW.getTime() - hours * 3_600_000);
const finding = {
  id: ID,
  subject: "roster:reviewer",
  what: "runtime",
  productId: null,
  declared: "claude",
  actual: EVIL,
  severity: "high",
  command: "tmux attach -r -t =review",
  host: "build-1",
  status: "open",
  since: hoursAgo(3),
  seenAt: NOW,
  accepted: null,
} as const;
const dossier = {
  productId: "shop",
  path: "docs/science/prices.md",
  dossierId: "D-1",
  topic: EVIL,
  status: "validated",
  owner: "ada",
  writtenAt: hoursAgo(24 * 20),
  commitSha: "0".repeat(40),
  problems: null,
  design: null,
  orderId: null,
  statusSince: hoursAgo(24 * 9),
} as const;
const bad = { ...dossier, path: "docs/science/bad.md", problems: [{ line: 4, message: `status ${EVIL}` }] };

const requests: unknown[] = [];
let lookedAt: Date | undefined = hoursAgo(1);
const observer = { tier: "observer", summary: "-" } as const;
const looked = async () => {
  lookedAt = NOW;
  return { status: 202, body: { look_id: ID, asked_at: NOW.toISOString() } };
};
const routes: readonly Route<unknown>[] = [
  defineRoute(
    { ...observer, method: "get", path: "/api/fleet/drift", query: z.looseObject({}), reply: DriftReportDocument },
    async (_c: unknown, { query }) => {
      requests.push(query);
      const notChecked = [{ what: "roster:far", why: "it runs on build-2" }];
      return { body: driftReport([finding], { tenantId: "acme", lookedAt, notChecked }) };
    },
  ),
  defineRoute(
    { ...observer, method: "post", path: "/api/fleet/drift/check", body: ScanRequest, reply: LookAsked },
    async (_c: unknown, { body }) => {
      requests.push(body);
      return looked();
    },
  ),
  defineRoute(
    {
      ...observer,
      method: "post",
      path: "/api/fleet/drift/:finding/accept",
      params: z.object({ finding: z.string() }),
      body: Acceptance,
      reply: DriftFinding,
    },
    async (_c: unknown, { params, body }) => {
      requests.push({ ...params, ...body });
      return { body: toDriftFinding({ ...finding, status: "accepted" }) };
    },
  ),
  defineRoute(
    { ...observer, method: "get", path: "/api/fleet/science", query: z.looseObject({}), reply: ScienceIndex },
    async () => {
      const terms = { tenantId: "acme", now: NOW, lookedAt, notChecked: [] };
      return { body: scienceIndex([dossier, bad, { ...dossier, path: "x", status: "running" }], terms) };
    },
  ),
  defineRoute(
    { ...observer, method: "post", path: "/api/fleet/science/refresh", body: ScanRequest, reply: LookAsked },
    looked,
  ),
];

let api: TestApi;
let token: string;
beforeAll(async () => {
  api = await testApi(routes);
  token = await api.token();
});
afterAll(() => api.close());

async function fleet(...words: string[]) {
  let out = "";
  let err = "";
  const exit = await main(words, {
    env: { FLEET_URL: api.url, FLEET_TOKEN: token },
    cwd: "/",
    stdout: { write: (text) => void (out += text) },
    stderr: { write: (text) => void (err += text) },
    signal: new AbortController().signal,
    clock: () => NOW,
    random: () => 0.5,
  });
  return { exit, out, err };
}

// oxlint-disable-next-line eslint/no-control-regex
const STEERS = /[\u0000-\u0009\u000B-\u001F\u007F-\u009F\u200B-\u200F\u202A-\u202E\u2060-\u206F]/;

test.each([[["drift"]], [["drift", "--all", "--json"]], [["science"]], [["science", "--json"]]])(
  "%j prints nothing that could control a terminal",
  async (words) => {
    const { exit, out, err } = await fleet(...words);

    expect({ exit, err }).toEqual({ exit: 0, err: "" });
    expect(out).not.toMatch(STEERS);
  },
);

test("a finding shows since when, the declared and the actual value and the next command; unchecked items are listed", async () => {
  lookedAt = hoursAgo(1);
  const { out } = await fleet("drift", "--product", "shop");

  expect(requests.at(-1)).toEqual({ product: "shop" });
  expect(out).toContain("✖ 1 finding (1 high); scanned 1h ago");
  expect(out).toContain("high   a1b2c3d4  roster:reviewer runtime  for 3h");
  expect(out).toContain("declared  claude");
  expect(out).toContain("$ tmux attach -r -t =review");
  expect(out).toContain("○ roster:far: it runs on build-2");
  expect(out).toContain("○ digest of the container image");
  expect((await fleet("drift", "--exit-code")).exit).toBe(4);
});

test("--check requests a scan and waits until it is complete", async () => {
  lookedAt = undefined;
  expect((await fleet("drift")).out).toContain("not everything was scanned yet");

  const { exit, out } = await fleet("drift", "--check", "--product", "shop");

  expect(exit).toBe(0);
  expect(requests).toContainEqual({ product: "shop" });
  expect(out).toContain("scanned just now");
});

test("accepting needs a reason, and prints the new baseline", async () => {
  const { out } = await fleet("drift", "accept", "a1b2c3d4", "--reason", "on purpose");
  const silent = await fleet("drift", "accept", "a1b2c3d4");

  expect(requests.at(-1)).toEqual({ finding: "a1b2c3d4", reason: "on purpose" });
  expect(out).toContain("is the new baseline");
  expect(silent).toMatchObject({ exit: 2, err: expect.stringContaining("say why") });
});

test("the board shows each status with its dossiers, stuck ones, and unreadable files", async () => {
  lookedAt = undefined;
  const { out } = await fleet("science", "--refresh");

  expect(out).toContain("0 proposed, 1 running, 1 validated, 0 rejected, 0 handed off; read just now");
  expect(out).toContain("validated (1)");
  expect(out).toContain("! validated for 9 days without a design");
  expect(out).toContain("✖ shop docs/science/bad.md");
  expect(out).toContain("line 4: status");
  expect(out).toContain("1 dossier stuck");
});

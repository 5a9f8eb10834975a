/** Every route over a real server, with real tokens: what it answers, and to whom it does not. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { ROUTES } from "../../src/http/routes/index.ts";
import { parseServerSentEvents } from "./server-sent-events.ts";
import { aWebWorld, type WebWorld } from "./web-world.ts";

let world: WebWorld;

beforeAll(async () => {
  world = await aWebWorld();
});

afterAll(async () => {
  await world.close();
});

const path = (of: (typeof ROUTES)[number], task: string) =>
  of.path.replace("/api/fleet", "").replaceAll(/:(?<name>\w+)/g, (_, name: string) => nameOf(name, task));

function nameOf(name: string, task: string): string {
  const known: Readonly<Record<string, string>> = { ...world.names, task };
  return known[name] ?? `there is no ${name} in the world of this test`;
}
const named = ROUTES.map((route) => ({ name: `${route.method.toUpperCase()} ${route.path}`, route }));
const aboutTask = named.filter(({ route }) => route.path.includes(":task"));

describe("whoever asks", () => {
  test.each(named)("$name needs a token, and one that is ours", async ({ route }) => {
    const url = new URL(route.path.replace(":task", world.running.id), world.web.url);
    const method = route.method.toUpperCase();

    expect((await fetch(url, { method })).status).toBe(401);
    expect((await fetch(url, { method, headers: { authorization: "Bearer e30.e30.e30" } })).status).toBe(401);
  });

  test.each(aboutTask)("to $name a task of another tenant does not exist", async ({ route }) => {
    const body = route.body ? { comment: "no" } : undefined;

    const [status, name] = await world.outcome(path(route, world.ready.id), {
      method: route.method.toUpperCase(),
      by: world.eve,
      ...(route.path.endsWith("/reject") ? { body } : {}),
    });

    expect([status, name]).toEqual([404, "task-not-found"]);
  });

  test.each(aboutTask.filter(({ route }) => route.owner))(
    "$name is for the owner, and an observer may not even ask",
    async ({ route }) => {
      const asking = {
        method: route.method.toUpperCase(),
        ...(route.path.endsWith("/reject") ? { body: { comment: "no" } } : {}),
      };

      expect(await world.outcome(path(route, world.ready.id), { ...asking, by: world.bob })).toEqual([
        403,
        "not-owner",
      ]);
      expect(await world.outcome(path(route, world.ready.id), { ...asking, by: world.otto })).toEqual([
        403,
        "tier-too-low",
      ]);
      expect((await world.fleet.read(world.ready.id)).version).toBe(world.ready.version);
    },
  );
});

test("a reader of the event stream goes on from the last id it saw, and hears of no other tenant", async () => {
  const read = async (headers: Readonly<Record<string, string>>, count: number, by = world.ada) => {
    const gone = new AbortController();
    const response = await world.ask(`/tasks/${world.ready.id}/events`, { headers, signal: gone.signal, by });
    const events = await parseServerSentEvents(response, count);
    gone.abort();
    return events;
  };

  const all = await read({}, 8);
  const rest = await read({ "last-event-id": all[3]?.id ?? "" }, 4);

  expect(all.map(({ event }) => event).slice(0, 3)).toEqual([
    "fleet.task.proposed",
    "fleet.task.spawning",
    "fleet.task.running",
  ]);
  expect(rest).toEqual(all.slice(4));
  expect(await world.outcome("/events/recent", { by: world.eve })).toMatchObject([200, { items: [] }]);
});

test("everybody may know whether the house stands; what is broken is named to admins alone", async () => {
  await world.fleet.query("update slots set active = active + 5 where operator_id = $1", [world.ada.id]);
  const Verdicts = z.object({ invariants: z.array(z.object({ id: z.string(), violations: z.array(z.string()) })) });
  const drifted = (body: unknown) => Verdicts.parse(body).invariants.find(({ id }) => id === "R6")?.violations;

  const [, seen] = await world.outcome("/invariants", { by: world.eve });
  const [, named2] = await world.outcome("/invariants", { by: world.root });
  await world.fleet.query("update slots set active = active - 5 where operator_id = $1", [world.ada.id]);

  expect(drifted(seen)).toEqual([expect.stringMatching(/^\d+; role admin sees which$/)]);
  expect(JSON.stringify(drifted(named2))).toContain(world.ada.id);
});

test("the queue board opens by the link that the API makes, for an admin, and shows the fleet's own queues", async () => {
  const link = new URL(
    z.object({ url: z.url() }).parse((await world.outcome("/login-links", { method: "POST", by: world.root }))[1]).url,
  );
  expect(link.origin).toBe(world.web.url);
  const code = link.searchParams.get("code") ?? "";
  const stranger = await fetch(new URL("/queues", world.web.url), {
    redirect: "manual",
    headers: { accept: "text/html" },
  });
  const entered = await fetch(new URL("/login", world.web.url), {
    method: "POST",
    redirect: "manual",
    headers: { origin: world.web.url },
    body: new URLSearchParams({ code, next: "/queues" }),
  });
  const cookie = entered.headers.get("set-cookie")?.split(";")[0] ?? "";
  const board = await fetch(new URL("/queues/api/queues", world.web.url), { headers: { cookie } });

  expect(stranger.status).toBe(303);
  expect(entered.status).toBe(303);
  expect(board.status).toBe(200);
  expect(await board.text()).toContain("host.here");
});

test("it says that it is ready, and what it stands on", async () => {
  const live = await fetch(new URL("/healthz", world.web.url));
  const whole = await fetch(new URL("/readyz", world.web.url));

  expect([live.status, whole.status]).toEqual([200, 200]);
  expect(await whole.text()).toContain("redis");
});

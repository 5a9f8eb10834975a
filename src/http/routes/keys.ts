/** /keys: the keys that sign tokens. Making one is the web process's own affair: it holds what seals them. */
import { z } from "zod";
import type { Fleet } from "../../conductor/fleet.ts";
import { listKeys, revokeKey, rotateKeys } from "../../conductor/access/keys.ts";
import type { Operator } from "../../domain/operator.ts";
import { KeyId, KeyRotation, KeysView, viewKeys } from "../../views/key.ts";
import { defineRoute, type Route } from "../route.ts";

/** A key as it goes into the database, private half sealed. */
type NewKey = Parameters<typeof rotateKeys>[2];

export interface KeyAdmin {
  readonly createKey: () => Promise<NewKey>;
  /** Makes what was changed hold in this process before the answer leaves. */
  readonly refresh: () => Promise<void>;
}

const HOUR_MS = 3_600_000;

export function keysRoutes(admin: KeyAdmin): readonly Route<Fleet>[] {
  return [listRoute, rotateRoute(admin), revokeRoute(admin)];
}

const listRoute = defineRoute(
  {
    method: "get",
    path: "/api/fleet/keys",
    tier: "observer",
    summary: "The keys that sign tokens, newest first (role admin)",
    reply: KeysView,
  },
  async (fleet: Fleet, { operator }) => ({ body: await listKeyViews(fleet, operator) }),
);

function rotateRoute({ createKey, refresh }: KeyAdmin) {
  return defineRoute(
    {
      method: "post",
      path: "/api/fleet/keys/rotate",
      tier: "observer",
      summary: "Make a key that signs from now on; the old one verifies for a day more (role admin)",
      body: KeyRotation,
      reply: KeysView,
      statuses: { 201: "the new key signs" },
    },
    async (fleet: Fleet, { operator, body }) => {
      await rotateKeys(fleet, operator, await createKey(), body.overlapHours * HOUR_MS);
      await refresh();
      return { status: 201, body: await listKeyViews(fleet, operator) };
    },
  );
}

function revokeRoute({ createKey, refresh }: KeyAdmin) {
  return defineRoute(
    {
      method: "post",
      path: "/api/fleet/keys/:key/revoke",
      tier: "observer",
      summary: "Believe nothing that a key signed, from now on (role admin)",
      description: "When it was the one that signs, a new one takes its place.",
      params: z.strictObject({ key: KeyId }),
      reply: KeysView,
      errors: ["not-found"],
    },
    async (fleet: Fleet, { operator, params }) => {
      await revokeKey(fleet, operator, params.key, await createKey());
      await refresh();
      return { body: await listKeyViews(fleet, operator) };
    },
  );
}

async function listKeyViews(fleet: Fleet, by: Operator) {
  return viewKeys(await listKeys(fleet, by), fleet.clock());
}

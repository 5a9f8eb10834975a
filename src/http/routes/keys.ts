/** /keys: the keys that sign tokens. Making one is the web process's own affair: it holds what seals them. */
import { z } from "zod";
import type { Fleet } from "../../conductor/fleet.ts";
import { listKeys, revokeKey, rotateKeys } from "../../conductor/access/keys.ts";
import type { Operator } from "../../domain/operator.ts";
import { KeyId, KeyRotation, KeysView, viewKeys } from "../../views/key.ts";
import { defineRoute, type Route } from "../route.ts";

/** A key as it goes into the database, private half sealed. */
type NewKey = Parameters<typeof rotateKeys>[2];

export interface KeyDoor {
  readonly make: () => Promise<NewKey>;
  /** Makes what was changed hold in this process before the answer leaves. */
  readonly reread: () => Promise<void>;
}

const HOUR_MS = 3_600_000;

export function keysRoutes(door: KeyDoor): readonly Route<Fleet>[] {
  return [listRoute, rotateRoute(door), revokeRoute(door)];
}

const listRoute = defineRoute(
  {
    method: "get",
    path: "/api/fleet/keys",
    tier: "observer",
    summary: "The keys that sign tokens, newest first (role admin)",
    reply: KeysView,
  },
  async (fleet: Fleet, { operator }) => ({ body: await shown(fleet, operator) }),
);

function rotateRoute({ make, reread }: KeyDoor) {
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
      await rotateKeys(fleet, operator, await make(), body.overlapHours * HOUR_MS);
      await reread();
      return { status: 201, body: await shown(fleet, operator) };
    },
  );
}

function revokeRoute({ make, reread }: KeyDoor) {
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
      await revokeKey(fleet, operator, params.key, await make());
      await reread();
      return { body: await shown(fleet, operator) };
    },
  );
}

async function shown(fleet: Fleet, by: Operator) {
  return viewKeys(await listKeys(fleet, by), fleet.clock());
}

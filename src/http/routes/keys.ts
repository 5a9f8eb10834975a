/** /keys: the keys that sign tokens. The web process passes in how to create one, because it holds the encryption key. */
import { z } from "zod";
import type { Fleet } from "../../conductor/fleet.ts";
import { listKeys, revokeKey, rotateKeys } from "../../conductor/access/keys.ts";
import { KeyId, KeyRotation, KeysView, viewKeys } from "../../views/key.ts";
import { defineRoute } from "../route.ts";

/** A key as it goes into the database, private half sealed. */
type NewKey = Parameters<typeof rotateKeys>[2];

export interface KeyAdmin {
  readonly createKey: () => Promise<NewKey>;
  /** Reloads the keys, so that a change holds in this process before the response is sent. */
  readonly refresh: () => Promise<void>;
}

const HOUR_MS = 3_600_000;

export function keysRoutes(admin: KeyAdmin) {
  return [listRoute, rotateRoute(admin), revokeRoute(admin)] as const;
}

const listRoute = defineRoute(
  {
    method: "get",
    path: "/api/fleet/keys",
    role: "admin",
    summary: "The keys that sign tokens, newest first",
    reply: KeysView,
  },
  async (fleet: Fleet) => ({ body: await listKeyViews(fleet) }),
);

function rotateRoute({ createKey, refresh }: KeyAdmin) {
  return defineRoute(
    {
      method: "post",
      path: "/api/fleet/keys/rotate",
      role: "admin",
      summary: "Create a new signing key; the old one still verifies tokens for a day",
      body: KeyRotation,
      reply: KeysView,
      statuses: { 201: "the new key signs" },
    },
    async (fleet: Fleet, { operator, body }) => {
      await rotateKeys(fleet, operator, await createKey(), body.overlapHours * HOUR_MS);
      await refresh();
      return { status: 201, body: await listKeyViews(fleet) };
    },
  );
}

function revokeRoute({ createKey, refresh }: KeyAdmin) {
  return defineRoute(
    {
      method: "post",
      path: "/api/fleet/keys/:key/revoke",
      role: "admin",
      summary: "Revoke a key: every token that it signed is refused from now on",
      description: "If it is the current signing key, a new one replaces it.",
      params: z.strictObject({ key: KeyId }),
      reply: KeysView,
      errors: ["not-found"],
    },
    async (fleet: Fleet, { operator, params }) => {
      await revokeKey(fleet, operator, params.key, await createKey());
      await refresh();
      return { body: await listKeyViews(fleet) };
    },
  );
}

async function listKeyViews(fleet: Fleet) {
  return viewKeys(await listKeys(fleet), fleet.clock());
}

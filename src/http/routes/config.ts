/** /config: settings of an operator and of their tenant. Secrets are write-only. */
import { z } from "zod";
import { listPreferences, setPreference, unsetPreference } from "../../conductor/access/preferences.ts";
import type { Fleet } from "../../conductor/fleet.ts";
import { resealAll } from "../../conductor/access/reseal.ts";
import {
  ConfigQuery,
  ConfigView,
  ResealedView,
  SettingChange,
  SettingKey,
  SettingView,
  viewSetting,
} from "../../views/config.ts";
import { defineRoute } from "../route.ts";

const KeyParams = z.strictObject({ key: SettingKey });

export const configRoute = defineRoute(
  {
    method: "get",
    path: "/api/fleet/config",
    tier: "observer",
    summary: "The settings that you, or your tenant, have set; values of secrets are not shown",
    query: ConfigQuery,
    reply: ConfigView,
    errors: ["not-verified"],
  },
  async (fleet: Fleet, { operator, query }) => {
    const settings = await listPreferences(fleet, operator, query);
    return { body: { tenant: query.tenant, settings: settings.map(viewSetting) } };
  },
);

export const setConfigRoute = defineRoute(
  {
    method: "put",
    path: "/api/fleet/config/:key",
    tier: "builder",
    summary: "Set one of your settings, or with tier sovereign one of your tenant",
    params: KeyParams,
    body: SettingChange,
    reply: SettingView,
  },
  async (fleet: Fleet, { operator, params, body }) => ({
    body: viewSetting(await setPreference(fleet, operator, { ...params, ...body })),
  }),
);

export const unsetConfigRoute = defineRoute(
  {
    method: "delete",
    path: "/api/fleet/config/:key",
    tier: "builder",
    summary: "Unset one of your settings, or with tier sovereign one of your tenant",
    params: KeyParams,
    query: ConfigQuery,
    reply: ConfigView,
    errors: ["not-found"],
  },
  async (fleet: Fleet, { operator, params, query }) => {
    await unsetPreference(fleet, operator, { ...params, ...query });
    const settings = await listPreferences(fleet, operator, query);
    return { body: { tenant: query.tenant, settings: settings.map(viewSetting) } };
  },
);

export const resealRoute = defineRoute(
  {
    method: "post",
    path: "/api/fleet/config/reseal",
    role: "admin",
    summary: "Encrypt all secrets again under the first key of FLEET_ENCRYPTION_KEY",
    description:
      "Settings and signing keys of all tenants. It may be interrupted: the next request continues with the rest.",
    reply: ResealedView,
    errors: ["not-verified"],
  },
  async (fleet: Fleet, { operator }) => {
    const { left, ...done } = await resealAll(fleet, operator);
    return { body: { ...done, left: [...left] } };
  },
);

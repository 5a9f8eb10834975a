/** fleet config: your preferences, or your tenant's. Secrets are read from standard input and never shown again. */
import { CHANNELS, type ChannelTable } from "../../domain/notify/channels.ts";
import type { SettingView } from "../../views/config.ts";
import { asString, type Command, type Shell } from "../command.ts";
import { renderTable } from "../print/table.ts";
import { ago, plural } from "../print/format.ts";

const settingView = async () => (await views()).SettingView;

const TENANT = ["--tenant", "apply to every operator of your tenant (tier sovereign)"] as const;
const MAX_INPUT_LENGTH = 64 * 1024;

const views = () => import("../../views/config.ts");
const configView = async () => (await views()).ConfigView;

const listCommand: Command = {
  usage: "config list",
  summary: "list your settings, or your tenant's; secrets are not shown",
  options: [["--tenant", "show the tenant's settings instead of your own"]],
  examples: ["fleet config list", "fleet config list --tenant --json"],

  async run(shell, _args, { tenant }) {
    const view = await shell.api.request("GET /api/fleet/config", { query: { tenant: tenant === true } }, configView);
    if (shell.json) shell.terminal.json(view);
    else await printSettings(shell, view.settings);
  },
};

const getCommand: Command = {
  usage: "config get <key>",
  summary: "show one setting",
  options: [["--tenant", "show the tenant's settings instead of your own"]],
  examples: ["fleet config get notify.channels"],

  async run({ api, terminal, json }, [key = ""], { tenant }) {
    const { getPreference } = await import("../../domain/settings/preferences.ts");
    getPreference(key);
    const { settings } = await api.request("GET /api/fleet/config", { query: { tenant: tenant === true } }, configView);
    const setting = settings.find((one) => one.key === key);
    if (!setting) {
      const { FleetError } = await import("../../domain/errors.ts");
      throw new FleetError("not-found", `${key} is not set. Set it: fleet config set ${key} …`);
    }
    if (json) terminal.json(setting);
    else terminal.line(terminal.sanitize(formatSetting(setting)));
  },
};

const setCommand: Command = {
  usage: "config set <key> [value]",
  summary: "change one setting",
  options: [TENANT, ["--secret-from-stdin", "read the value from standard input; required for secrets"]],
  examples: setExamples(CHANNELS),

  async run(shell, [key = "", typed], { tenant, secretFromStdin }) {
    const value = await readValue(shell, key, { typed, fromStdin: secretFromStdin === true });
    const params = { path: { key }, body: { value, tenant: tenant === true } };
    const setting = await shell.api.request("PUT /api/fleet/config/:key", params, settingView);
    if (shell.json) shell.terminal.json(setting);
    else
      shell.terminal.line(
        `${shell.terminal.mark(true)} ${setting.key}  ${shell.terminal.sanitize(formatSetting(setting))}`,
      );
  },
};

const unsetCommand: Command = {
  usage: "config unset <key>",
  summary: "unset one setting",
  options: [TENANT],
  examples: ["fleet config unset notify.channels"],

  async run(shell, [key = ""], { tenant }) {
    const params = { path: { key }, query: { tenant: tenant === true } };
    const view = await shell.api.request("DELETE /api/fleet/config/:key", params, configView);
    if (shell.json) shell.terminal.json(view);
    else shell.terminal.line(`${shell.terminal.mark(true)} ${shell.terminal.sanitize(key)} is no longer set`);
  },
};

const resealCommand: Command = {
  usage: "config reseal",
  summary: "re-encrypt all secrets with the first key of FLEET_ENCRYPTION_KEY (role admin)",
  options: [],
  examples: ["fleet config reseal"],

  async run({ api, terminal, json }) {
    const done = await api.request("POST /api/fleet/config/reseal", {}, async () => (await views()).ResealedView);
    if (json) terminal.json(done);
    else {
      const what = `${plural(done.settings, "setting")} and ${plural(done.signingKeys, "signing key")} re-encrypted`;
      terminal.line(`${terminal.mark(true)} ${what}; everything now uses key ${done.keyId}`);
      for (const { keyId, settings, signingKeys } of done.left) {
        const rest = `${plural(settings, "setting")}, ${plural(signingKeys, "signing key")}`;
        terminal.line(
          `${terminal.mark(false)} still encrypted with key ${terminal.sanitize(keyId)}, which this server does not have: ${rest}`,
        );
      }
    }
    return done.left.length === 0 ? 0 : 1;
  },
};

export const configCommands: readonly Command[] = [listCommand, getCommand, setCommand, unsetCommand, resealCommand];

export function setExamples(channels: ChannelTable): readonly string[] {
  return [
    "fleet config set notify.channels terminal,webhook --tenant",
    ...Object.values(channels).flatMap(({ setUp }) => setUp),
  ];
}

/** Secrets are not taken from the command line, because every process of the machine can read it and the shell stores it in its history. */
async function readValue(
  { world }: Shell,
  key: string,
  { typed, fromStdin }: { readonly typed: string | undefined; readonly fromStdin: boolean },
): Promise<string> {
  const [{ getPreference }, { FleetError }] = await Promise.all([
    import("../../domain/settings/preferences.ts"),
    import("../../domain/errors.ts"),
  ]);
  const isSecret = getPreference(key).sealed?.secret === true;
  if (isSecret && !fromStdin) {
    throw new FleetError("invalid-input", `${key} is a secret: pass it on standard input with --secret-from-stdin.`);
  }
  if (fromStdin === (typed !== undefined)) {
    throw new FleetError(
      "invalid-input",
      "Give the value once: as an argument, or on standard input with --secret-from-stdin.",
    );
  }
  if (typed !== undefined) return typed;
  let text = "";
  for await (const chunk of world.stdin ?? []) {
    text += String(chunk);
    if (text.length > MAX_INPUT_LENGTH)
      throw new FleetError("invalid-input", "The value on standard input is too long.");
  }
  return text.replace(/\r?\n$/, "");
}

function formatSetting({ value, sealed, fingerprint }: SettingView): string {
  const label = fingerprint === null ? "set, cannot be decrypted here" : `set (…${fingerprint})`;
  if (sealed) return asString(value) === undefined ? label : `${asString(value)} ${label}`;
  return Array.isArray(value) ? value.map(String).join(",") : (asString(value) ?? JSON.stringify(value));
}

async function printSettings({ terminal, world }: Shell, settings: readonly SettingView[]): Promise<void> {
  const now = world.clock();
  const rows = renderTable<SettingView>(
    terminal,
    [
      { head: "SETTING", drop: 0, cell: ({ key }) => terminal.sanitize(key) },
      { head: "VALUE", drop: 0, cell: (setting) => terminal.sanitize(formatSetting(setting)) },
      { head: "SINCE", drop: 1, cell: ({ since }) => ago(since, now) },
      { head: "BY", drop: 2, cell: ({ by }) => terminal.sanitize(by) },
    ],
    settings,
  );
  for (const line of rows) terminal.line(line);
  if (settings.length > 0) return;
  const { PREFERENCES } = await import("../../domain/settings/preferences.ts");
  terminal.note(`Nothing is set. Available settings: ${Object.keys(PREFERENCES).join(", ")}`);
}

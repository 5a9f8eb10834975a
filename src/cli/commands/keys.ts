/** fleet keys: lists the keys that sign tokens, rotates and revokes them. */
import type { KeysView } from "../../views/key.ts";
import { asString, type Command, type Shell } from "../command.ts";
import { renderTable } from "../print/table.ts";
import { ago, formatDuration, type Colour } from "../print/format.ts";

const keysView = async () => (await import("../../views/key.ts")).KeysView;

const listCommand: Command = {
  usage: "keys",
  summary: "list the keys that sign tokens, newest first (role admin)",
  options: [],
  examples: ["fleet keys", "fleet keys --json | jq -r '.keys[] | select(.standing == \"signs\").kid'"],

  async run(shell) {
    await printKeys(shell, await shell.api.request("GET /api/fleet/keys", {}, keysView));
  },
};

const rotateCommand: Command = {
  usage: "keys rotate",
  summary: "create a new signing key; the old one still verifies tokens for a day (role admin)",
  options: [["--overlap <hours>", "how long tokens of the old key are still accepted (default: 24)"]],
  examples: ["fleet keys rotate", "fleet keys rotate --overlap 48"],

  async run(shell, _args, { overlap }) {
    const hours = asString(overlap);
    const body = hours === undefined ? {} : { overlapHours: Number(hours) };
    await printKeys(shell, await shell.api.request("POST /api/fleet/keys/rotate", { body }, keysView));
  },
};

const revokeCommand: Command = {
  usage: "keys revoke <kid>",
  summary: "revoke a key: every token that it signed is rejected from now on (role admin)",
  options: [],
  examples: ["fleet keys revoke NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"],

  async run(shell, [kid = ""]) {
    await printKeys(
      shell,
      await shell.api.request("POST /api/fleet/keys/:key/revoke", { path: { key: kid } }, keysView),
    );
    if (!shell.json) shell.terminal.note("Everyone whose token it signed needs a new one.");
  },
};

/** The command that the bare word runs comes first. */
export const keysCommands: readonly Command[] = [listCommand, rotateCommand, revokeCommand];

type Key = KeysView["keys"][number];

const KEY_STYLES: Readonly<Record<Key["standing"], readonly [glyph: string, colour: Colour]>> = {
  signs: ["●", "green"],
  verifies: ["○", "blue"],
  retired: ["−", "gray"],
  revoked: ["✖", "red"],
};

async function printKeys({ terminal, json, world }: Shell, view: KeysView): Promise<void> {
  if (json) {
    terminal.json(view);
    return;
  }
  const now = world.clock();
  const rows = renderTable<Key>(
    terminal,
    [
      { head: "KEY", drop: 0, cell: ({ kid }) => terminal.sanitize(kid) },
      { head: "STANDING", drop: 0, cell: ({ standing }) => paintKeyStatus(terminal, standing) },
      { head: "SINCE", drop: 2, cell: ({ since }) => ago(since, now) },
      { head: "UNTIL", drop: 1, cell: (key) => formatUntil(key, now) },
    ],
    view.keys,
  );
  for (const line of rows) terminal.line(line);
}

function paintKeyStatus({ paint }: Shell["terminal"], standing: Key["standing"]): string {
  const [glyph, colour] = KEY_STYLES[standing];
  return paint(colour, `${glyph} ${standing}`);
}

function formatUntil({ standing, until, revokedAt }: Key, now: Date): string {
  if (revokedAt !== null) return ago(revokedAt, now);
  if (until === null) return "";
  return standing === "verifies" ? `in ${formatDuration(Date.parse(until) - now.getTime())}` : ago(until, now);
}

/** fleet token: issues, lists and revokes tokens for people and programs. */
import type { TokenView } from "../../views/token.ts";
import { asString, type Command } from "../command.ts";
import { renderTable } from "../print/table.ts";
import { ago, formatDuration } from "../print/format.ts";

const views = () => import("../../views/token.ts");

const listCommand: Command = {
  usage: "token list",
  summary: "list your tokens, or everyone's for role admin, newest first",
  options: [
    ["--over", "also expired and revoked tokens"],
    ["--limit <n>", "how many at most (default: 50)"],
  ],
  examples: ["fleet token list", "fleet token list --over --json | jq '.items[] | select(.purpose == \"session\")'"],

  async run({ api, terminal, json, world }, _args, options) {
    const query = { over: options["over"] === true, limit: asString(options["limit"]) };
    const page = await api.request("GET /api/fleet/tokens", { query }, async () => {
      const [{ pageOf }, { TokenView: View }] = await Promise.all([import("../../views/page.ts"), views()]);
      return pageOf(View);
    });
    if (json) return terminal.json(page);
    const now = world.clock();
    const rows = renderTable<TokenView>(
      terminal,
      [
        { head: "TOKEN", drop: 0, cell: ({ id }) => terminal.sanitize(id.slice(-8)) },
        { head: "OPERATOR", drop: 0, cell: ({ operator, tenant }) => terminal.sanitize(`${operator} of ${tenant}`) },
        { head: "TIER", drop: 1, cell: ({ tier, role }) => (role ? `${tier}, ${role}` : tier) },
        { head: "FOR", drop: 3, cell: ({ name, purpose }) => terminal.sanitize(name === "" ? purpose : name) },
        { head: "ISSUED", drop: 2, cell: ({ issuedAt }) => ago(issuedAt, now) },
        { head: "ENDS", drop: 0, cell: (token) => formatExpiry(token, now) },
      ],
      page.items,
    );
    for (const line of rows) terminal.line(line);
    if (page.nextCursor !== null) terminal.note("There are more. Show them: --limit 200");
  },
};

function formatExpiry({ standing, expiresAt, revokedAt }: TokenView, now: Date): string {
  if (revokedAt !== null) return `revoked ${ago(revokedAt, now)}`;
  return standing === "valid" ? `in ${formatDuration(Date.parse(expiresAt) - now.getTime())}` : ago(expiresAt, now);
}

const issueCommand: Command = {
  usage: "token issue",
  summary: "issue a token for an operator; it is shown only once (role admin)",
  options: [
    ["--operator <operator>", "who will use it; registered if not known yet (required)"],
    ["--tenant <tenant>", "the operator's tenant (required)"],
    ["--tier <tier>", "observer, participant, builder, architect or sovereign (required)"],
    ["--role <role>", "admin or queue-operator (default: none)"],
    ["--ttl <span>", "how long it is valid: 45m, 8h; at most 24h (default: 24h)"],
    ["--name <text>", "what it is for"],
  ],
  examples: [
    "fleet token issue --operator ada --tenant acme --tier builder --ttl 8h --name laptop",
    'export FLEET_TOKEN="$(fleet token issue --operator ci --tenant acme --tier builder)"',
  ],

  async run({ api, terminal, json }, _args, options) {
    const [{ parseInput, FleetError }, { TokenRequest, IssuedToken }] = await Promise.all([
      import("../../domain/errors.ts"),
      views(),
    ]);
    const ttl = asString(options["ttl"]);
    const ttlMinutes = ttl === undefined ? undefined : parseMinutes(ttl);
    if (Number.isNaN(ttlMinutes)) {
      throw new FleetError("invalid-input", `--ttl must be a duration such as 45m or 8h, at most 24h; not ${ttl}.`);
    }
    const body = parseInput(TokenRequest, {
      operator: options["operator"],
      tenant: options["tenant"],
      tier: options["tier"],
      role: options["role"],
      ttlMinutes,
      name: options["name"],
    });
    const issued = await api.request("POST /api/fleet/tokens", { body }, IssuedToken);
    if (json) return terminal.json(issued);
    terminal.line(issued.token);
    if (terminal.isTty) {
      terminal.note("It is shown only once. Use it: export FLEET_TOKEN=…");
      terminal.note(`Revoke it: fleet token revoke ${issued.id.slice(-8)}`);
    }
  },
};

/** Parses 45m or 8h; NaN when the text is not a valid duration. */
function parseMinutes(text: string): number {
  const [, figure, unit] = /^(\d{1,5})(m|h)$/.exec(text) ?? [];
  return Number(figure) * (unit === "h" ? 60 : 1);
}

const revokedView = async () => (await views()).RevokedToken;

const revokeCommand: Command = {
  usage: "token revoke <token>",
  summary: "revoke a token; every web process rejects it within seconds",
  options: [["--issuer <iss>", "the issuer, for a token of another issuer; then the full jti is required"]],
  examples: ["fleet token revoke 3f9a1c2b", "fleet token revoke 8a1f… --issuer https://login.example.com/"],

  async run({ api, terminal, json }, [token = ""], options) {
    const params = { path: { token }, body: { issuer: asString(options["issuer"]) } };
    const revoked = await api.request("POST /api/fleet/tokens/:token/revoke", params, revokedView);
    if (json) return terminal.json(revoked);
    terminal.line(`Token ${terminal.sanitize(revoked.id)} is revoked.`);
  },
};

export const tokenCommands: readonly Command[] = [listCommand, issueCommand, revokeCommand];

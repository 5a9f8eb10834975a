/**
 * The notification channels, one row each: what fleet.yaml, `fleet config`, the environment and the help need to know about
 * them. How a channel delivers is in src/notify.
 */
import { z } from "zod";
import { WebhookUrl } from "../text/webhook-url.ts";

export interface Sealed {
  /** Must not be typed where every process of the machine can read it. */
  readonly secret: boolean;
  /** What may be shown of it; nothing when left out. */
  readonly shown?: (text: string) => string;
}

/** One text of a channel's target: key `notify.<channel>.<field>` of `fleet config`, and a field of its block in fleet.yaml. */
export interface ChannelField {
  readonly description: string;
  readonly schema: z.ZodType<string>;
  /** Encrypted in the database, and never shown again. */
  readonly sealed?: Sealed;
}

export interface ChannelRow {
  /** Of its block in fleet.yaml. */
  readonly description: string;
  readonly fields: Readonly<Record<string, ChannelField>>;
  /**
   * The field that says where messages go; null when the channel needs no target. All fields come from the first level
   * (operator, tenant, fleet.yaml) that sets this one: nothing is signed for one's own URL with the tenant's secret.
   */
  readonly address: string | null;
  /** What the channel is given to deliver to. Stored values were checked when they were set; the URL guard checks again. */
  readonly target: z.ZodType;
  /** The commands that set it up, as hints and examples. */
  readonly setUp: readonly string[];
  /** Environment variables of the worker, masked in its log. */
  readonly environment: Readonly<Record<string, z.ZodType>>;
}

export type ChannelTable = Readonly<Record<string, ChannelRow>>;

const Email = z.email().max(254);
const SharedSecret = z
  .string()
  .min(16)
  .max(512)
  .regex(/^[ -~]+$/, "must be printable ASCII");

export const CHANNELS = {
  terminal: {
    description: "one line per notification where a worker runs",
    fields: {},
    address: null,
    target: z.undefined(),
    setUp: [],
    environment: {},
  },
  webhook: {
    description: "where the webhook channel sends; the secret signs each message",
    fields: {
      url: {
        description:
          "where the webhook channel sends (https); kept encrypted, since many such URLs are secrets; only its host is shown",
        schema: WebhookUrl,
        sealed: { secret: false, shown: (text) => `${new URL(text).origin}/…` },
      },
      secret: {
        description: "signs every message to the webhook; shared with its receiver, 16 to 512 characters",
        schema: SharedSecret,
        sealed: { secret: true },
      },
    },
    address: "url",
    target: z.strictObject({ url: z.string().min(1).max(2_048), secret: z.string().min(16).max(512) }),
    setUp: [
      "fleet config set notify.webhook.url https://hooks.example.com/fleet",
      "openssl rand -hex 32 | fleet config set notify.webhook.secret --secret-from-stdin",
    ],
    environment: {},
  },
  email: {
    description: "where the e-mail channel sends (FLEET_SMTP_URL)",
    fields: { to: { description: "who gets them by e-mail", schema: Email } },
    address: "to",
    target: z.strictObject({ to: Email }),
    setUp: ["fleet config set notify.email.to you@example.com"],
    environment: {
      FLEET_SMTP_URL: z
        .url({ protocol: /^smtps?$/, error: "must be an smtp:// or smtps:// URL" })
        .optional()
        .describe("sends e-mail notifications; none are sent when unset"),
      FLEET_SMTP_FROM: z.email().default("fleet@localhost").describe("sender of e-mail notifications"),
    },
  },
} satisfies ChannelTable;

export type ChannelName = keyof typeof CHANNELS;

export function isChannelName(name: string): name is ChannelName {
  return Object.hasOwn(CHANNELS, name);
}

type Environments<Table extends ChannelTable> = Table[keyof Table]["environment"];
type VariableOf<Environment> = Environment extends unknown ? keyof Environment : never;
/** The variables of all rows in one shape. */
type EnvironmentShape<Table extends ChannelTable> = {
  [Name in VariableOf<Environments<Table>>]: Extract<Environments<Table>, Readonly<Record<Name, unknown>>>[Name];
};

export type ChannelEnvironment = z.output<z.ZodObject<EnvironmentShape<typeof CHANNELS>>>;

export function channelEnvironment<Table extends ChannelTable>(channels: Table): EnvironmentShape<Table> {
  // Object.assign of a list has no type of its own; the return type says which variable comes from which row.
  return Object.assign({}, ...Object.values(channels).map(({ environment }) => environment));
}

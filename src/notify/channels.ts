/** How the channels are opened. What else is known about a channel is its row in src/domain/notify/channels.ts. */
import { type ChannelName, CHANNELS } from "../domain/notify/channels.ts";
import { type Channel, permanent } from "./channel.ts";
import { emailChannel } from "./email.ts";
import type { HttpOptions } from "./post.ts";
import { terminalChannel } from "./terminal.ts";
import { webhookChannel } from "./webhook.ts";

export interface ChannelOptions {
  /** Where the terminal channel writes its lines. */
  readonly write: (line: string) => void;
  readonly http: HttpOptions;
  /** With the variables that the rows of the channels name. */
  readonly environment: Readonly<Record<string, unknown>>;
}

export type Channels = Readonly<Record<ChannelName, Channel>>;

export function openChannels({ write, http, environment }: ChannelOptions): Channels {
  return {
    terminal: terminalChannel(write),
    webhook: webhookChannel(http),
    email: openEmail(environment),
  };
}

function openEmail(environment: ChannelOptions["environment"]): Channel {
  const { FLEET_SMTP_URL: smtpUrl, FLEET_SMTP_FROM: from } = CHANNELS.email.environment.parse(environment);
  if (smtpUrl !== undefined) return emailChannel({ smtpUrl, from });
  return { name: "email", deliver: () => Promise.resolve(permanent("no SMTP server is configured")) };
}

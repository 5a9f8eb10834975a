/** How the channels are opened. What else is known about a channel is its row in src/domain/notify/channels.ts. */
import type { ChannelEnvironment, ChannelName } from "../domain/notify/channels.ts";
import { type Channel, permanent } from "./channel.ts";
import { emailChannel } from "./email.ts";
import type { HttpOptions } from "./post.ts";
import { terminalChannel } from "./terminal.ts";
import { webhookChannel } from "./webhook.ts";

export interface ChannelOptions {
  /** Where the terminal channel writes its lines. */
  readonly write: (line: string) => void;
  readonly http: HttpOptions;
  readonly environment: Readonly<Partial<ChannelEnvironment>>;
}

export type Channels = Readonly<Record<ChannelName, Channel>>;

export function openChannels({ write, http, environment }: ChannelOptions): Channels {
  return {
    terminal: terminalChannel(write),
    webhook: webhookChannel(http),
    email: openEmail(environment.FLEET_SMTP_URL, environment.FLEET_SMTP_FROM),
  };
}

function openEmail(smtpUrl: string | undefined, from: string | undefined): Channel {
  if (smtpUrl !== undefined && from !== undefined) return emailChannel({ smtpUrl, from });
  return { name: "email", deliver: () => Promise.resolve(permanent("no SMTP server is configured")) };
}

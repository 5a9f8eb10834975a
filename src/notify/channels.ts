/** The channels that exist, in one table. A notification can go to these and to no others. */
import { type Channel, type ChannelName, permanent } from "./channel.ts";
import { emailChannel, type EmailOptions } from "./email.ts";
import { terminalChannel } from "./terminal.ts";
import { webhookChannel, type WebhookOptions } from "./webhook.ts";

export interface ChannelOptions {
  /** Where the terminal channel writes its lines. */
  readonly write: (line: string) => void;
  readonly webhook: WebhookOptions;
  /** Left out when no SMTP server is configured. */
  readonly email?: EmailOptions | undefined;
}

const CHANNELS: Readonly<Record<ChannelName, (options: ChannelOptions) => Channel>> = {
  terminal: ({ write }) => terminalChannel(write),
  webhook: ({ webhook }) => webhookChannel(webhook),
  email: ({ email }) => (email ? emailChannel(email) : emailNotConfigured),
};

const emailNotConfigured: Channel = {
  name: "email",
  deliver: () => Promise.resolve(permanent("no SMTP server is configured")),
};

export type Channels = Readonly<Record<ChannelName, Channel>>;

export function openChannels(options: ChannelOptions): Channels {
  return {
    terminal: CHANNELS.terminal(options),
    webhook: CHANNELS.webhook(options),
    email: CHANNELS.email(options),
  };
}

export function isChannelName(name: string): name is ChannelName {
  return Object.hasOwn(CHANNELS, name);
}

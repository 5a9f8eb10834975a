/** fleet login: prints a link that opens the queue board in a browser. */
import type { Command } from "../command.ts";

export const loginCommand: Command = {
  usage: "login",
  summary: "print a single-use link that logs your browser in",
  options: [],
  examples: ["fleet login", 'xdg-open "$(fleet login)"'],

  async run({ api, terminal, json }) {
    const link = await api.request(
      "POST /api/fleet/login-links",
      {},
      async () => (await import("../../views/login.ts")).LoginLink,
    );
    if (json) return terminal.json(link);
    terminal.line(link.url);
    if (terminal.isTty) terminal.note(terminal.paint("dim", "Open it within five minutes; it works once."));
  },
};

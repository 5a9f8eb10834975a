/** All tmux servers of this home as one runtime: the house's own, and one for each Unix user of a tenant, on a socket of its own. */
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Runtime } from "./runtime.ts";
import { openTmux, type TmuxOptions } from "./tmux.ts";

const PREFIX = "user-";

/** Servers are root's, as supervisors are: no agent can reach a socket, its own tenant's least of all. */
export function openTmuxServers(options: TmuxOptions): Runtime {
  const defaultServer = openTmux(options);
  const opened = new Map<string, Runtime>();
  const folder = join(options.home, "tmux");

  function getServer(user: string): Runtime {
    const server = opened.get(user) ?? openTmux({ ...options, socket: serverName(user) });
    opened.set(user, server);
    return server;
  }

  /** Those that were ever started: noted by name, because a long socket path is not below the home. */
  async function listServers(): Promise<readonly Runtime[]> {
    const names = await readdir(folder).catch(() => []);
    const users = names.filter((name) => name.startsWith(PREFIX) && !name.endsWith(".sock"));
    return [defaultServer, ...users.map((name) => getServer(name.slice(PREFIX.length)))];
  }

  return {
    async start(ask) {
      if (ask.user === undefined) return defaultServer.start(ask);
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await writeFile(join(folder, serverName(ask.user)), "", { mode: 0o600 });
      return getServer(ask.user).start(ask);
    },
    async kill(session) {
      for (const server of await listServers()) await server.kill(session);
    },
    listActive: async () => (await Promise.all((await listServers()).map((server) => server.listActive()))).flat(),
    async shutDown() {
      for (const server of await listServers()) await server.shutDown();
    },
  };
}

/** Also how gc knows that a socket is nobody's to judge. */
export function serverName(user: string): string {
  return `${PREFIX}${user}`;
}

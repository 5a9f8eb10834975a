/** Combines all tmux servers of this home into one runtime: the default server, and one for each tenant's Unix user. */
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Runtime } from "./runtime.ts";
import { openTmux, type TmuxOptions } from "./tmux.ts";

const PREFIX = "user-";

/** The servers and supervisors run as root, so no agent can access a socket, not even that of its own tenant. */
export function openTmuxServers(options: TmuxOptions): Runtime {
  const defaultServer = openTmux(options);
  const opened = new Map<string, Runtime>();
  const folder = join(options.home, "tmux");

  function getServer(user: string): Runtime {
    const server = opened.get(user) ?? openTmux({ ...options, socket: serverName(user) });
    opened.set(user, server);
    return server;
  }

  /** Lists the servers that were ever started. A marker file records each, because the socket itself may be outside the home. */
  async function listServers(): Promise<readonly Runtime[]> {
    const names = await readdir(folder).catch(() => []);
    const users = names.filter((name) => name.startsWith(PREFIX) && !name.endsWith(".sock"));
    return [defaultServer, ...users.map((name) => getServer(name.slice(PREFIX.length)))];
  }

  return {
    async start(request) {
      if (request.user === undefined) return defaultServer.start(request);
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await writeFile(join(folder, serverName(request.user)), "", { mode: 0o600 });
      return getServer(request.user).start(request);
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

/** gc recognises by this name the sockets that it must not remove. */
export function serverName(user: string): string {
  return `${PREFIX}${user}`;
}

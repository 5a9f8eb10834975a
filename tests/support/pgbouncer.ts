/** A separate pgbouncer in transaction mode: it lends a server connection to the next transaction. */
import { spawn } from "node:child_process";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "pg";
import { findFreePort } from "../../src/store/embedded/postgres-server.ts";
import { findRunAs } from "../../src/store/embedded/postgres-binaries.ts";
import { eventually } from "./eventually.ts";
import { ensurePrograms } from "./servers.ts";

export interface TestPooler extends AsyncDisposable {
  readonly url: string;
}

/** `await using pooler = await testPooler(databaseUrl, 3)`: any number of clients share `connections`. */
export async function testPooler(databaseUrl: string, connections: number): Promise<TestPooler> {
  await ensurePrograms({ pgbouncer: "pgbouncer" });
  const server = new URL(databaseUrl);
  const dir = await mkdtemp(join(tmpdir(), "fleet-bouncer-"));
  await chmod(dir, 0o755);
  const port = await findFreePort();
  const config = join(dir, "pgbouncer.ini");
  await writeFile(join(dir, "users"), `"${server.username}" "${server.password}"\n`);
  await writeFile(
    config,
    `[databases]
* = host=${server.hostname} port=${server.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = plain
auth_file = ${join(dir, "users")}
pool_mode = transaction
default_pool_size = ${connections}
max_client_conn = 200
`,
  );
  const runAs = await findRunAs(dir); // It refuses to run as root.
  const child = spawn("pgbouncer", ["-q", config], {
    stdio: "ignore",
    ...(runAs ? { uid: runAs.uid, gid: runAs.gid } : {}),
  });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  server.port = String(port);
  const url = server.toString();
  await eventually(async () => {
    const client = new Client({ connectionString: url });
    client.on("error", () => {});
    return client.connect().then(
      () => client.end().then(() => true),
      () => undefined,
    );
  });
  return {
    url,
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await ended;
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** A separate FLEET_HOME for a test, removed with it. */
import { chmod, mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface TestHome extends AsyncDisposable {
  readonly path: string;
}

/**
 * `await using home = await temporaryHome()`. As root it can be entered by others, because PostgreSQL runs as another
 * user.
 */
export async function temporaryHome(): Promise<TestHome> {
  const path = await realpath(await mkdtemp(join(tmpdir(), "fleet-home-")));
  await chmod(path, 0o711);
  return {
    path,
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 }),
  };
}

/** A tenant with its own Unix user, from spawn to ready: agent, checks, reviewer and orders all run as that user. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openTmuxServers } from "../../../src/agents/runtime/tmux-servers.ts";
import type { Task } from "../../../src/domain/task/task.ts";
import { testFleet, type TestFleet } from "../../support/fleet.ts";
import { isRoot, unixUsers } from "../../support/unix-users.ts";

/** Writes its user into the log of the checks, and fails as root. */
const WHO = 'id -un; [ "$(id -u)" != 0 ]';

test("a task of a tenant with its own user becomes ready, and no code of the repository runs as root", async () => {
  await using users = await unixUsers(isRoot ? 1 : 0);
  const [unixUser = "nobody"] = users.names;
  await using fleet = await testFleet({
    settings: { tenants: { "tenant-of-its-own": { unixUser } } },
  });
  const ada = await fleet.operator({ tenantId: "tenant-of-its-own" });
  const task = await fleet.spawn(ada, {
    repository: await fleet.aRepository({ test: WHO }),
    script: "succeed-no-push",
  });
  if (!isRoot) return needsRoot(fleet, task);
  try {
    const ready = await fleet.runUntil(task.id, "ready");

    expect(ready).toMatchObject({ ciStatus: "passing", attempt: 0 });
    const log = await readFile(join(fleet.home, "ci", task.id, `${ready.headSha}.log`), "utf8");
    expect(log).toContain(`${unixUser}\n`);
  } finally {
    await openTmuxServers({ home: fleet.home, socket: fleet.config.FLEET_TMUX_SOCKET }).shutDown();
  }
});

async function needsRoot(fleet: TestFleet, task: Task): Promise<void> {
  const failed = await fleet.runUntil(task.id, "failed");
  expect(failed.failureContext).toMatchObject({ summary: expect.stringContaining("it needs root") });
}

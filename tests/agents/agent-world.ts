/** Agents with their own home directory, forge and tmux server, and the steps that many tests share. */
import { join } from "node:path";
import { v7 as newId } from "uuid";
import { openAgents, type Agents } from "../../src/agents/agents.ts";
import type { AttemptRequest } from "../../src/agents/attempt/start-agent.ts";
import { openTmux } from "../../src/agents/runtime/tmux.ts";
import type { WorkspaceRequest } from "../../src/agents/workspace/workspace.ts";
import { killTree } from "../../src/command/process-tree.ts";
import { eventually } from "../support/eventually.ts";
import { aWorld } from "./world.ts";

/** A fleet's agents with their own tmux server; everything they started is ended afterwards. */
export async function anAgentWorld(files?: Readonly<Record<string, string>>) {
  const world = await aWorld(files);
  const home = join(world.home, "fleet");
  const options = {
    home,
    heartbeatIntervalMs: 200,
    clock: () => new Date(),
    baseEnv: { PATH: "/usr/local/bin:/usr/bin:/bin", HOME: world.home },
    minFreeMb: 1,
  };
  const agents = await openAgents(options);
  const tmux = openTmux({ home, socket: "fleetwright" });
  const tasks: string[] = [];
  return {
    ...world,
    home,
    agents,
    tmux,
    options,
    /** Steps 2 to 6 of one attempt. */
    async spawn(changes: Partial<AttemptRequest> = {}, workspace: Partial<WorkspaceRequest> = {}) {
      const taskId = changes.taskId ?? newId();
      tasks.push(taskId);
      const run = { taskId, attempt: changes.attempt ?? 0 };
      const request = world.ask({ ...run, ...workspace });
      const prepared = await agents.prepareWorkspace(request);
      await agents.writeAttempt(aRunRequest({ ...changes, ...run }));
      await agents.start(run);
      await agents.waitForHeartbeat(run, 10_000);
      return {
        ...run,
        branch: request.branch,
        path: prepared.path,
        dir: join(home, "attempts", taskId, String(run.attempt)),
      };
    },
    async [Symbol.asyncDispose]() {
      await tmux.shutDown();
      for (const value of tasks) await killTree([], { graceMs: 0, marker: { name: "FLEET_TASK", value } });
      await agents.close();
      await world[Symbol.asyncDispose]();
    },
  };
}

export function aRunRequest(changes: Partial<AttemptRequest> & { taskId: string; attempt: number }): AttemptRequest {
  return {
    dispatchId: newId(),
    epoch: 1,
    hostId: "here",
    bootId: "boot",
    startedBy: "test",
    agentType: "stub",
    script: "succeed",
    prompt: "# Add a greeting\n\nPlease.\n",
    ...changes,
  };
}

export const sh = (script: string) => ({ agentType: "command" as const, command: ["sh", "-c", script] });

export function readFacts(agents: Agents, taskId: string) {
  return agents.observe().then(({ facts }) => facts.find((one) => one.taskId === taskId));
}

export function waitUntilEnded(agents: Agents, taskId: string) {
  return eventually(async () => {
    const facts = await readFacts(agents, taskId);
    return facts?.exit ? facts : undefined;
  });
}

export const taskMarker = (taskId: string) => ({ name: "FLEET_TASK", value: taskId });

/** The environment of the agents' tests: a home directory, a forge repository, and a folder to work in. */
import { v7 as newId } from "uuid";
import { openMirrors } from "../../src/git/mirror.ts";
import type { AgentsContext, WorkspaceRequest } from "../../src/agents/workspace/workspace.ts";
import { aForgeRepository } from "../git/repositories.ts";
import { temporaryHome } from "../support/home.ts";

export async function aWorld(files?: Readonly<Record<string, string>>) {
  const home = await temporaryHome();
  const forge = await aForgeRepository(home.path, files);
  const place: AgentsContext = {
    home: `${home.path}/fleet`,
    mirrors: openMirrors({ home: `${home.path}/fleet` }),
    minFreeMb: 1,
  };
  return {
    home: home.path,
    forge,
    place,
    ask(changes: Partial<WorkspaceRequest> = {}): WorkspaceRequest {
      const taskId = changes.taskId ?? newId();
      const branch = `fleet/${taskId.slice(-8)}-work`;
      return { taskId, attempt: 0, repositoryUrl: forge.url, branch, baseBranch: "main", kind: "worktree", ...changes };
    },
    [Symbol.asyncDispose]: () => home[Symbol.asyncDispose](),
  };
}

/** A second forge, for tests: it stores its pull requests itself and has its own checks, as a remote one does. */
import type { PullRequestFacts } from "../../src/domain/monitor/decision.ts";
import { FleetError } from "../../src/domain/errors.ts";
import type { CiResult } from "../../src/domain/task/ci.ts";
import type { Forge, ForgeRepository, HeadCheckRequest } from "../../src/forge/forge.ts";
import type { ForgeType } from "../../src/forge/forges.ts";
import { openLocalForge } from "../../src/forge/local.ts";

export interface SecondForge {
  readonly type: ForgeType;
  /** As users see and change them there. */
  readonly stored: StoredPullRequest[];
  /** The verdict of its checks on every head. */
  checks: "passing" | "failing";
}

export interface StoredPullRequest {
  readonly repository: string;
  readonly number: number;
  readonly branch: string;
  state: "open" | "closed" | "merged";
  mergeSha: string | null;
  readonly comments: Map<string, string>;
}

export function secondForge(): SecondForge {
  const stored: StoredPullRequest[] = [];
  const second: SecondForge = {
    stored,
    checks: "passing",
    type: {
      hosts: (repository) => repository.startsWith("file://"),
      open: ({ home }) => openSecondForge(openLocalForge(home), second),
    },
  };
  return second;
}

/** Its numbers begin at 100, so that they are not mistaken for the local forge's. */
function openSecondForge(local: Forge, second: SecondForge): Forge {
  const { stored } = second;
  const find = (repository: string, number: number) => {
    const found = stored.find((one) => one.repository === repository && one.number === number);
    if (!found) throw new FleetError("not-found", `There is no pull request ${number}.`);
    return found;
  };
  return {
    ...local,
    async merge(repository, request) {
      const pullRequest = find(repository.repository, request.number);
      const merged = await local.merge(repository, request);
      Object.assign(pullRequest, { state: "merged", mergeSha: merged.mergeSha });
      return merged;
    },
    hasChecks: () => true,
    checkHead: async (_repository, request) => verdict(second.checks, request),
    pullRequestUrl: (repository, number) => `${repository}/pull/${number}`,
    pullRequests: {
      async open({ repository }, { headBranch: branch }) {
        const open = stored.find(
          (one) => one.repository === repository && one.branch === branch && one.state === "open",
        );
        if (open) return open.number;
        const number = 100 + stored.length;
        stored.push({ repository, number, branch, state: "open", mergeSha: null, comments: new Map() });
        return number;
      },
      read: async (repository, numbers) =>
        Promise.all(numbers.map((number) => factsOf(local, repository, find(repository.repository, number)))),
      async comment({ repository }, number, { marker, body }) {
        find(repository, number).comments.set(marker, body);
      },
    },
  };
}

async function factsOf(
  local: Forge,
  repository: ForgeRepository,
  { number, branch, state, mergeSha }: StoredPullRequest,
): Promise<PullRequestFacts> {
  return { number, state, headSha: await local.headOf(repository, branch), mergeSha };
}

function verdict(status: "passing" | "failing", { headSha }: HeadCheckRequest): CiResult {
  return { status, headSha, reason: `checks are ${status}`, steps: [], logExcerpt: "", logPath: null, durationMs: 1 };
}

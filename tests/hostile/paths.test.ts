/**
 * Hostile paths and addresses: of repositories over HTTP, of evidence in a real folder, of working copies; and a
 * repository full of traps.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { createRedactor } from "../../src/domain/text/redact.ts";
import { openWorkingCopy } from "../../src/git/working-copy.ts";
import { openEvidence } from "../../src/runs/evidence.ts";
import { commitFiles, runGit } from "../support/repositories.ts";
import { aTestClient, type TestClient } from "./asker.ts";
import { About, aTrap, parseCases, Text } from "./cases.ts";
import file from "./paths.json" with { type: "json" };

const Kind = z.enum(["repository", "evidence", "evidence-name", "working-copy"]);
const cases = parseCases(z.strictObject({ ...About, kind: Kind, value: Text }), file);
const of = (kind: z.output<typeof Kind>) => cases.filter((hostile) => hostile.kind === kind);

const trap = aTrap();
const root = join(trap.folder, "copy");
let asker: TestClient;
beforeAll(async () => {
  asker = await aTestClient();
  const { folder } = trap;
  mkdirSync(join(root, "sub"), { recursive: true });
  mkdirSync(join(folder, "away"));
  for (const name of ["secret.txt", "away/secret.txt", "copy/good.txt"]) writeFileSync(join(folder, name), "text");
  for (const [name, target] of [
    ["dangling", "nowhere"],
    ["loop", "loop"],
    ["copy/out.txt", "../secret.txt"],
    ["copy/out2.txt", "out.txt"],
    ["copy/away", "../away"],
    ["copy/zero.txt", "/dev/zero"],
    ["copy/loop.txt", "loop.txt"],
  ] as const) {
    symlinkSync(target, join(folder, name));
  }
  execFileSync("mkfifo", [join(folder, "pipe"), join(root, "pipe.txt")]);
});
afterAll(async () => {
  trap[Symbol.dispose]();
  await asker[Symbol.asyncDispose]();
});

describe("refused as a repository, and no task is created:", () => {
  test.each(of("repository"))("$name", async ({ value }) => {
    const repository = trap.fill(value, { repository: asker.repository });

    const { status } = await asker.ask("POST", "/spawn", {
      repository,
      description: "x",
      agentType: "stub",
      script: "hang",
    });

    expect(status).toBe(422);
    expect(await asker.tasks()).toBe(0);
    trap.expectUnsprung();
  });
});

describe("refused as evidence:", () => {
  test.each([
    ...of("evidence").map(({ name, value }) => ({ name, from: value, to: "kept.txt" })),
    ...of("evidence-name").map(({ name, value }) => ({ name, from: "good.txt", to: value })),
  ])("$name", async ({ from, to }) => {
    const evidence = await openEvidence(join(trap.folder, "run"), createRedactor());

    expect(await evidence.collect(root, from, to)).toMatchObject({ saved: false });
    expect(await evidence.names()).toEqual([]);
  });
});

describe("refused as a working copy:", () => {
  test.each(of("working-copy"))("$name", async ({ value }) => {
    const home = join(trap.folder, "home");

    const opening = openWorkingCopy({ home, runId: value, gitDir: join(asker.repository, ".git"), headSha: "HEAD" });

    await expect(opening).rejects.toMatchObject({ code: "invalid-input" });
    expect(existsSync(home) ? readdirSync(home) : []).toEqual([]);
  });
});

test("a repository full of traps goes from spawn to ready, and none of them is triggered", async () => {
  const { repository, fleet } = asker;
  const spring = `#!/bin/sh\ntouch ${trap.marker}\n`;
  for (const hook of [
    "post-checkout",
    "pre-commit",
    "post-commit",
    "post-merge",
    "pre-push",
    "reference-transaction",
  ]) {
    const path = join(repository, ".git", "hooks", hook);
    mkdirSync(join(repository, ".git", "hooks"), { recursive: true });
    writeFileSync(path, spring);
    chmodSync(path, 0o755);
  }
  const script = join(trap.folder, "spring.sh");
  writeFileSync(script, spring);
  chmodSync(script, 0o755);
  const files = {
    ".gitattributes": "* filter=evil diff=evil merge=evil\n",
    ".gitmodules": `[submodule "x"]\n\tpath = x\n\turl = ext::${script}\n`,
  };
  for (const hook of readdirSync(join(repository, ".git", "hooks")))
    chmodSync(join(repository, ".git", "hooks", hook), 0o644);
  commitFiles(repository, files);
  for (const hook of readdirSync(join(repository, ".git", "hooks")))
    chmodSync(join(repository, ".git", "hooks", hook), 0o755);
  for (const key of [
    "core.fsmonitor",
    "core.sshCommand",
    "core.pager",
    "core.editor",
    "core.askPass",
    "credential.helper",
    "diff.external",
    "filter.evil.smudge",
    "filter.evil.clean",
    "diff.evil.textconv",
    "merge.evil.driver",
    "uploadpack.packObjectsHook",
    "gpg.program",
    "alias.status",
  ]) {
    runGit(repository, "config", key, key.startsWith("alias") ? `!${script}` : script);
  }

  const { body } = await asker.ask("POST", "/spawn", {
    repository,
    description: "x",
    agentType: "stub",
    script: "succeed",
  });
  await fleet.runUntil(z.object({ id: z.string() }).parse(body).id, "ready");

  expect(existsSync(trap.marker)).toBe(false);
});

/** A run's evidence folder: files that commands leave are copied safely, and sealed with their hashes. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createRedactor } from "../../src/domain/text/redact.ts";
import { hashEvidence, openEvidence, sealEvidence } from "../../src/runs/evidence.ts";
import { testFolder } from "../support/repositories.ts";

test("only files below the root are stored, under valid names, each once, without secrets", async () => {
  using world = testFolder();
  const root = world.folder("copy");
  const evidence = await openEvidence(join(world.path, "run"), createRedactor());
  writeFileSync(join(world.path, "passwd"), "secret");
  writeFileSync(join(root, "good.txt"), "token=ghp_abcdefghijklmnopqrstuvwxyz0123456789\n");
  symlinkSync("../passwd", join(root, "away.txt"));
  mkdirSync(join(root, "folder.txt"));
  execFileSync("mkfifo", [join(root, "pipe.txt")]);

  expect(await evidence.collect(root, "good.txt", "good.txt")).toMatchObject({ saved: true });
  for (const [path, name, why] of [
    ["away.txt", "away.txt", "outside"],
    ["../passwd", "up.txt", "outside"],
    ["folder.txt", "folder.txt", "not a file"],
    ["pipe.txt", "pipe.txt", "not a file"],
    ["missing.txt", "missing.txt", "does not exist"],
    ["good.txt", "good.txt", "of that name"],
    ["good.txt", "last_run.json", "of that name"],
    ["good.txt", "../up.txt", "name"],
  ] as const) {
    expect(await evidence.collect(root, path, name), path).toEqual({ saved: false, why: expect.stringContaining(why) });
  }

  expect(await evidence.names()).toEqual(["good.txt"]);
  expect(readFileSync(join(world.path, "run", "good.txt"), "utf8")).not.toContain("ghp_");
});

test("sealed files match their hashes, and a process that still has a file open changes nothing", async () => {
  using world = testFolder();
  const dir = join(world.path, "run");
  const evidence = await openEvidence(dir, createRedactor());
  evidence.log.write("said\n");
  await evidence.write("report.md", "# report\n", "text/markdown");

  const sealed = await sealEvidence(dir, { runId: "r", at: new Date(), mediaTypes: evidence.mediaTypes });
  evidence.log.write("late\n");
  evidence.close();
  await expect(evidence.write("more.json", "{}", "application/json")).rejects.toThrow("can no longer be written");

  const disk = await hashEvidence(dir);
  expect(sealed.map(({ name }) => name)).toEqual(["output.log", "report.md", "evidence.json"]);
  for (const { name, sha256 } of sealed) expect(disk?.get(name), name).toBe(sha256);
  const manifest: unknown = JSON.parse(readFileSync(join(dir, "evidence.json"), "utf8"));
  expect(manifest).toMatchObject({
    files: [{ name: "output.log" }, { name: "report.md", media_type: "text/markdown" }],
  });
  expect(await hashEvidence(join(world.path, "nowhere"))).toBeUndefined();
});

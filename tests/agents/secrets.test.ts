/** Which variables an agent gets, and the error when one is missing. */
import { inspect } from "node:util";
import { expect, test } from "vitest";
import { environmentSecrets } from "../../src/agents/secrets.ts";
import { AgentType } from "../../src/domain/task/task.ts";

const environment = {
  ANTHROPIC_API_KEY: "anthropic-value",
  ANTHROPIC_BASE_URL: "http://127.0.0.1:1",
  OPENAI_API_KEY: "openai-value",
  GITHUB_TOKEN: "github-value",
  DATABASE_URL: "database-value",
  DEPLOY_KEY: "deploy-value",
  EMPTY: "",
};
const task = (agentType: AgentType) => ({ id: "018f3b1e-7c2a-7def-8a90-1234567890ab", tenantId: "acme", agentType });
const work = { attempt: 0, use: "work" } as const;

test("an agent gets what its type needs and nothing else of the environment", async () => {
  const provider = environmentSecrets({ environment });

  const claude = await provider.getSecrets(task("claude_code"), work);
  const stub = await provider.getSecrets(task("stub"), work);

  expect(claude.values).toEqual({ ANTHROPIC_API_KEY: "anthropic-value", ANTHROPIC_BASE_URL: "http://127.0.0.1:1" });
  expect(claude.names).toEqual(["ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"]);
  expect(stub.values).toEqual({});
});

test("no type ever gets the variables that Fleetwright itself runs on", async () => {
  const all = environmentSecrets({ environment: { ...environment, GEMINI_API_KEY: "gemini-value" } });
  for (const agentType of AgentType.options) {
    const { names } = await all.getSecrets(task(agentType), work);

    for (const own of ["DATABASE_URL", "GITHUB_TOKEN", "DEPLOY_KEY"]) expect(names).not.toContain(own);
  }
  expect(AgentType.options).toEqual(["claude_code", "codex", "gemini", "opencode", "command", "stub"]);
});

test("a command gets the variables named in the settings, and only for work", async () => {
  const provider = environmentSecrets({ environment, commandVariables: ["DEPLOY_KEY"] });

  expect((await provider.getSecrets(task("command"), work)).values).toEqual({ DEPLOY_KEY: "deploy-value" });
  expect((await provider.getSecrets(task("command"), { attempt: 0, use: "review" })).names).toEqual([]);
});

test("a missing secret is named with the way to set it, and the message contains no value", async () => {
  const provider = environmentSecrets({ environment, commandVariables: ["EMPTY"] });

  const gemini = provider.getSecrets(task("gemini"), work);
  await expect(gemini).rejects.toMatchObject({ facts: { spawnCode: "NO_SECRET" } });
  await expect(gemini).rejects.toThrow(/needs GEMINI_API_KEY \(or GOOGLE_API_KEY\).*export GEMINI_API_KEY=/);
  await expect(provider.getSecrets(task("command"), work)).rejects.toThrow(/EMPTY/);
  await expect(gemini).rejects.not.toThrow(/-value/);
});

test("values do not appear when the object is logged, spread or turned into JSON", async () => {
  const secrets = await environmentSecrets({ environment }).getSecrets(task("claude_code"), work);

  for (const shown of [JSON.stringify(secrets), JSON.stringify({ ...secrets }), inspect(secrets)]) {
    expect(shown).toContain("ANTHROPIC_API_KEY");
    expect(shown).not.toContain("anthropic-value");
  }
});

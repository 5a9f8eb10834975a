/** Which secrets an agent gets: those its type needs and no others. Values go to the agent, never to a log. */
import { SpawnError } from "../domain/errors.ts";
import { AGENT_TYPES, type SecretRequirement } from "../domain/task/agent-types.ts";
import type { AgentType, Task } from "../domain/task/task.ts";

export interface AgentSecrets {
  /** What may be written to audit and logs. */
  readonly names: readonly string[];
  /** By name of the variable. Not enumerable: `JSON.stringify`, spreading and logging the object leave it out. */
  readonly values: Readonly<Record<string, string>>;
}

export interface SecretScope {
  readonly attempt: number;
  /** A reviewer only reads, so it gets the key of its model and nothing else. */
  readonly use: "work" | "review";
}

export interface AgentSecretProvider {
  /** Throws SpawnError NO_SECRET, naming the variable, when something the agent cannot do without is missing. */
  getSecrets: (task: Pick<Task, "id" | "tenantId" | "agentType">, scope: SecretScope) => Promise<AgentSecrets>;
  /** Every value that any agent may get, to be masked wherever the text of agents is stored or shown. */
  allSecretValues: () => readonly string[];
}

export interface EnvironmentSecrets {
  /** The worker's own environment, or the part of it that agents may be given. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Variables that agents of type `command` get; each must be set. */
  readonly commandVariables?: readonly string[];
}

/** Secrets from the worker's environment, by allow-list: nothing is inherited, each value is passed by name. */
export function environmentSecrets({ environment, commandVariables = [] }: EnvironmentSecrets): AgentSecretProvider {
  return {
    // An async function, so that a missing secret rejects and never throws past the caller's promise.
    async getSecrets({ agentType }, { use }) {
      // Its variables are not in the table: the settings of the worker name them.
      if (agentType === "command") return pickSecrets(environment, use === "work" ? commandVariables : []);
      const { oneOf, optional }: SecretRequirement = AGENT_TYPES[agentType].secrets;
      const isSet = (name: string): boolean => (environment[name] ?? "") !== "";
      const keys = oneOf.filter(isSet);
      if (oneOf.length > 0 && keys.length === 0) throw missingSecret(agentType, oneOf);
      return pickSecrets(environment, [...keys, ...optional.filter(isSet)]);
    },
    allSecretValues() {
      const keys = Object.values(AGENT_TYPES).flatMap(({ secrets }): readonly string[] => secrets.oneOf);
      return [...new Set([...keys, ...commandVariables])].flatMap((name) => environment[name] ?? []);
    },
  };
}

function pickSecrets(environment: EnvironmentSecrets["environment"], names: readonly string[]): AgentSecrets {
  const pairs = names.map((name): [string, string] => {
    const value = environment[name];
    if (value === undefined || value === "") throw missingSecret("command", [name]);
    return [name, value];
  });
  const secrets = { names: [...names], values: Object.freeze(Object.fromEntries(pairs)) };
  return Object.defineProperty(secrets, "values", { enumerable: false });
}

function missingSecret(agentType: AgentType, names: readonly string[]): SpawnError {
  const [first = ""] = names;
  const choice = names.length > 1 ? ` (or ${names.slice(1).join(", ")})` : "";
  return new SpawnError(
    "NO_SECRET",
    "prompt",
    `An agent of type ${agentType} needs ${first}${choice}, which is not set. ` +
      `Set it where the worker starts, for example: export ${first}=… before fleet up`,
  );
}

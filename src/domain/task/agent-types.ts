/**
 * The agent types, one row each. The schema of the type, who may review, the secrets and the help of the command line follow
 * from it. Data without schemas, so that `fleet spawn --help` loads none.
 */

export interface AgentTypeRow {
  /** The program that is searched for on PATH; null when the task names it, or when it comes with Fleetwright. */
  readonly binary: string | null;
  /** False: it is found and reported, but Fleetwright cannot start it yet. True: it has a file in src/agents/types. */
  readonly driven: boolean;
  /** Whether fleet.yaml may name it as the type of a reviewer. */
  readonly mayReview: boolean;
  readonly secrets: SecretRequirement;
}

export interface SecretRequirement {
  /** At least one of these variables must be set; the agent gets all that are. */
  readonly oneOf: readonly string[];
  /** The agent gets these when they are set. They say where the model is, not who may use it, so they are not masked. */
  readonly optional: readonly string[];
}

export type AgentTypeTable = Readonly<Record<string, AgentTypeRow>>;

const NO_SECRETS = { oneOf: [], optional: [] } as const;

export const AGENT_TYPES = {
  claude_code: {
    binary: "claude",
    driven: false,
    mayReview: true,
    secrets: { oneOf: ["ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"], optional: ["ANTHROPIC_BASE_URL"] },
  },
  codex: {
    binary: "codex",
    driven: false,
    mayReview: true,
    secrets: { oneOf: ["OPENAI_API_KEY", "CODEX_API_KEY"], optional: ["OPENAI_BASE_URL"] },
  },
  gemini: {
    binary: "gemini",
    driven: false,
    mayReview: true,
    secrets: { oneOf: ["GEMINI_API_KEY", "GOOGLE_API_KEY"], optional: ["GOOGLE_GEMINI_BASE_URL"] },
  },
  opencode: {
    binary: "opencode",
    driven: false,
    mayReview: false,
    secrets: {
      oneOf: ["ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "OPENROUTER_API_KEY"],
      optional: ["ANTHROPIC_BASE_URL", "OPENAI_BASE_URL"],
    },
  },
  // Its variables are named in the settings of the worker instead.
  command: { binary: null, driven: true, mayReview: true, secrets: NO_SECRETS },
  stub: { binary: null, driven: true, mayReview: true, secrets: NO_SECRETS },
} as const satisfies AgentTypeTable;

type Flag = "driven" | "mayReview";

/** The names of the rows in which the flag is true. */
type NamesWith<Table extends AgentTypeTable, Wanted extends Flag> = {
  [Name in keyof Table & string]: Table[Name][Wanted] extends true ? Name : never;
}[keyof Table & string];

export type DrivenAgentType = NamesWith<typeof AGENT_TYPES, "driven">;
export type ReviewerType = NamesWith<typeof AGENT_TYPES, "mayReview">;

export function namesWith<Table extends AgentTypeTable, Wanted extends Flag>(
  table: Table,
  flag: Wanted,
): NamesWith<Table, Wanted>[] {
  return namesOf(table).filter((name): name is NamesWith<Table, Wanted> => table[name]?.[flag] === true);
}

export function namesOf<Table extends AgentTypeTable>(table: Table): (keyof Table & string)[] {
  return Object.keys(table).filter((name): name is keyof Table & string => Object.hasOwn(table, name));
}

export function isAgentType(name: string): name is keyof typeof AGENT_TYPES {
  return Object.hasOwn(AGENT_TYPES, name);
}

export function isDriven(type: keyof typeof AGENT_TYPES): type is DrivenAgentType {
  return AGENT_TYPES[type].driven;
}

/** `claude_code, codex or stub`, for sentences. */
export function formatChoice(names: readonly string[]): string {
  return new Intl.ListFormat("en-GB", { type: "disjunction" }).format(names);
}

/** The type of a doctor check, and of its findings. */
import type { Config } from "../../../environment.ts";

export interface Finding {
  readonly name: string;
  /** `wrong`: something required is missing or broken. `absent`: something optional is missing. */
  readonly state: "ok" | "wrong" | "absent";
  readonly said: string;
  readonly fix?: string;
}

/** One check; it may return several findings. */
export type Check = (config: Config) => Promise<Finding | readonly Finding[]>;

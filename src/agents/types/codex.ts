/** Agent type `codex`: recognised on this machine, not yet driven. */
import { notDriven } from "./not-driven.ts";

export const codexCli = notDriven("codex", "codex");

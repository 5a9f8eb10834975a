/** Agent type `claude_code`: recognised on this machine, not yet driven. */
import { notDriven } from "./not-driven.ts";

export const claudeCodeCli = notDriven("claude_code", "claude");

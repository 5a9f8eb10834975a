/** Agent type `opencode`: recognised on this machine, not yet driven. */
import { notDriven } from "./not-driven.ts";

export const opencodeCli = notDriven("opencode", "opencode");

/** Agent type `opencode`: recognised on this machine, not yet driven. */
import { notDriven } from "./detected.ts";

export const opencodeCli = notDriven("opencode", "opencode");

/** Agent type `gemini`: recognised on this machine, not yet driven. */
import { notDriven } from "./not-driven.ts";

export const geminiCli = notDriven("gemini", "gemini");

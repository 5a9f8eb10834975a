/** Agent type `gemini`: recognised on this machine, not yet driven. */
import { notDriven } from "./detected.ts";

export const geminiCli = notDriven("gemini", "gemini");

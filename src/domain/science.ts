/** Research dossiers: what their front matter says, how far they are, and what they are handed to. */
import { z } from "zod";

export const DossierStatus = z.enum(["proposed", "running", "validated", "rejected", "handed_off"]);
export type DossierStatus = z.infer<typeof DossierStatus>;

/** What is wrong with a file, and where. */
export const DossierProblem = z.object({ line: z.int().nullable(), message: z.string() });
export type DossierProblem = z.infer<typeof DossierProblem>;

/** Writes every file that is generated from the code: npm run generate. */
import { writeFile } from "node:fs/promises";
import { GENERATED } from "./generated/files.ts";

for (const [path, generate] of Object.entries(GENERATED)) await writeFile(path, await generate());

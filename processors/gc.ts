/** gc → pruneRows. */
import { gcQueue } from "../queues/gc.ts";
import { pruneRows } from "../src/conductor/gc.ts";
import { defineProcessor } from "./define.ts";

export const gcProcessor = defineProcessor(gcQueue, pruneRows);

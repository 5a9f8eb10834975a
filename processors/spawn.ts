/** spawn → startAttempt. */
import { spawnQueue } from "../queues/spawn.ts";
import { startAttempt } from "../src/conductor/attempts/start.ts";
import { defineProcessor } from "./define.ts";

export const spawnProcessor = defineProcessor(spawnQueue, startAttempt);

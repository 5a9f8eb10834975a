/** Small schemas that the blocks of fleet.yaml share. */
import { z } from "zod";
import { Minutes } from "../product.ts";
import { TaskType } from "../task/task.ts";

export const Ms = z.int().min(0).max(86_400_000);

export const Days = z.int().min(1).max(3_650);

/** How long a task may stay in a condition, and what happens then: it fails, or it is held and shown in the inbox. */
export const waitLimitSetting = (maxMinutes: number, atMost: "fail" | "hold") =>
  z
    .strictObject({ maxMinutes: Minutes.default(maxMinutes), atMost: z.enum(["fail", "hold"]).default(atMost) })
    .prefault({});

/** A setting with a default and an optional value per task type. */
export function perTaskType<Default extends z.ZodType>(one: z.ZodType, fallback: Default) {
  const types = Object.fromEntries(TaskType.options.map((type) => [type, one.optional()]));
  return z.strictObject({ default: fallback, ...types });
}

/** Refuses a list with duplicate keys, and reports the second occurrence. */
export function unique<Key extends string>(key: Key) {
  return (list: readonly Readonly<Record<Key, unknown>>[], context: z.RefinementCtx): void => {
    const seen = new Set<unknown>();
    for (const [at, entry] of list.entries()) {
      if (seen.has(entry[key])) {
        context.addIssue({ code: "custom", path: [at, key], message: `${String(entry[key])} is listed twice` });
      }
      seen.add(entry[key]);
    }
  };
}

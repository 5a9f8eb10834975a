/** Drift: what is declared against what is there. Words, and one comparison; it observes nothing and mends nothing. */
import { z } from "zod";

export const Severity = z.enum(["low", "medium", "high"]);
export type Severity = z.infer<typeof Severity>;

/** A difference. `subject` and `what` together name it over time. */
export const Finding = z.object({
  subject: z.string(),
  what: z.string(),
  productId: z.string().nullable(),
  declared: z.unknown(),
  actual: z.unknown(),
  severity: Severity,
  /** What to type next. */
  command: z.string().nullable(),
  /** Where it was seen, when it is of one machine. */
  host: z.string().nullable(),
});
export type Finding = z.infer<typeof Finding>;

/** What counts as right until somebody accepts something else. */
export const Baseline = z.object({ subject: z.string(), what: z.string(), value: z.unknown() });
export type Baseline = z.infer<typeof Baseline>;

/** What was not looked at, and why: never passed over in silence. */
export const NotChecked = z.object({ what: z.string(), why: z.string() });
export type NotChecked = z.infer<typeof NotChecked>;

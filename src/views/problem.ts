/** A failure as the API returns it: RFC 9457 problem details, with the issues of an input that is not valid. */
import { z } from "zod";

export const Issue = z
  .object({
    path: z.array(z.union([z.string(), z.number()])).meta({ description: "Where in the input", examples: [["title"]] }),
    code: z.string(),
    message: z.string(),
  })
  .meta({ id: "Issue" });

export const Problem = z
  .object({
    type: z.string().meta({ description: "`/problems/<code>`; the codes are listed in the documentation" }),
    title: z.string(),
    status: z.int(),
    detail: z.string().optional(),
    instance: z.string().optional().meta({ description: "This occurrence: `urn:uuid:<request id>`" }),
    issues: z.array(Issue).optional().meta({ description: "Which fields are wrong, and why" }),
    facts: z.record(z.string(), z.unknown()).optional().meta({ description: "The values behind the message" }),
  })
  .meta({ id: "Problem", description: "RFC 9457 problem details" });
export type Problem = z.infer<typeof Problem>;

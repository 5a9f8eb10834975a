/** What asking for a login link answers. */
import { z } from "zod";

export const LoginLink = z
  .object({ url: z.url() })
  .meta({ id: "LoginLink", description: "Works once, for five minutes" });

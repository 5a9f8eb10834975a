/** A login link as the API returns it. */
import { z } from "zod";

export const LoginLink = z
  .object({ url: z.url() })
  .meta({ id: "LoginLink", description: "Works once, within five minutes" });

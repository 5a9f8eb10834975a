/** POST /login-links: a link that logs the asker's browser in, once. */
import type { Fleet } from "../../conductor/fleet.ts";
import { auditLoginLink } from "../../conductor/access/tokens.ts";
import { LoginLink } from "../../views/login.ts";
import type { Operator } from "../../domain/operator.ts";
import { defineRoute } from "../route.ts";

/** Signing is the web process's own affair: it hands in how a link is made. */
export function loginRoute(createLoginLink: (operator: Operator) => Promise<string>) {
  return defineRoute(
    {
      method: "post",
      path: "/api/fleet/login-links",
      tier: "observer",
      summary: "A link that logs your browser in, once, within five minutes",
      reply: LoginLink,
      statuses: { 201: "the link" },
    },
    async (fleet: Fleet, { operator }) => {
      await auditLoginLink(fleet, operator);
      return { status: 201, body: { url: await createLoginLink(operator) } };
    },
  );
}

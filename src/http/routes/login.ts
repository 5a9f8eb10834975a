/** POST /login-links: a link that logs the browser of the operator in, once. */
import type { Fleet } from "../../conductor/fleet.ts";
import { auditLoginLink } from "../../conductor/access/tokens.ts";
import { LoginLink } from "../../views/login.ts";
import type { Operator } from "../../domain/operator.ts";
import { defineRoute } from "../route.ts";

/** The web process passes in how a link is created, because it holds the signing keys. */
export function loginRoute(createLoginLink: (operator: Operator) => Promise<string>) {
  return defineRoute(
    {
      method: "post",
      path: "/api/fleet/login-links",
      tier: "observer",
      summary: "Create a link that logs your browser in, once, within five minutes",
      reply: LoginLink,
      statuses: { 201: "the link" },
    },
    async (fleet: Fleet, { operator }) => {
      await auditLoginLink(fleet, operator);
      return { status: 201, body: { url: await createLoginLink(operator) } };
    },
  );
}

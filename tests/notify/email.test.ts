/** The e-mail channel against a real SMTP server. */
import type { SMTPServerOptions } from "smtp-server";
import { expect, test } from "vitest";
import { emailChannel } from "../../src/notify/email.ts";
import { aMailServer } from "./mail-server.ts";
import { aMessage } from "./message.ts";

const never = new AbortController().signal;
const target = { to: "ada@example.com" };

function refusingWith(responseCode: number): SMTPServerOptions {
  return { onRcptTo: (_address, _session, done) => done(Object.assign(new Error("no"), { responseCode })) };
}

const from = "fleet@fleet.example.com";

test("a mail arrives with text and HTML, the subject, and an id derived from the notification's", async () => {
  await using server = await aMailServer();

  const outcome = await emailChannel({ smtpUrl: server.smtpUrl, from }).deliver(aMessage(), target, never);

  expect(outcome).toEqual({ kind: "delivered" });
  const [mail = ""] = server.mails;
  expect(mail).toContain("To: ada@example.com");
  expect(mail).toContain("Subject: [fleet] Attempt failed: Attempt failed: Fix the login");
  expect(mail).toContain("Message-ID: <018f3b1e-0000-7def-8a90-1234567890ab@fleet.example.com>");
  expect(mail).toContain("text/plain");
  expect(mail).toContain("text/html");
  expect(mail).toContain("fleet logs 018f3b1e");
});

test("a repeat has the same message id", async () => {
  await using server = await aMailServer();
  const channel = emailChannel({ smtpUrl: server.smtpUrl, from });

  await channel.deliver(aMessage(), target, never);
  await channel.deliver(aMessage(), target, never);

  const ids = server.mails.map((mail) => /^Message-ID: .*$/m.exec(mail)?.[0]);
  expect(ids[0]).toBeDefined();
  expect(ids[1]).toBe(ids[0]);
});

test("markup in a summary arrives as text", async () => {
  await using server = await aMailServer();
  const message = aMessage({ summary: '<img src=x onerror="a()">' });

  await emailChannel({ smtpUrl: server.smtpUrl, from }).deliver(message, target, never);

  expect(server.mails[0]).toContain("&lt;img src=3Dx onerror=3D&quot;a()&quot;&gt;");
});

test("a line break in a header field, or an invalid address, is refused and nothing is sent", async () => {
  await using server = await aMailServer();
  const channel = emailChannel({ smtpUrl: server.smtpUrl, from });

  const breaking = await channel.deliver(aMessage({ summary: "x\r\nBcc: eve@example.com" }), target, never);
  expect(breaking).toEqual({ kind: "permanent", reason: "a header field holds a line break" });
  for (const to of [
    "",
    "ada",
    "ada@example.com\nBcc: eve@example.com",
    "a@example.com, b@example.com",
    "Ada <ada@example.com>",
  ]) {
    expect(await channel.deliver(aMessage(), { to }, never), to).toMatchObject({ kind: "permanent" });
  }
  expect(server.mails).toEqual([]);
});

test("a server's 5xx is final, its 4xx is not", async () => {
  await using refusing = await aMailServer(refusingWith(550));
  await using busy = await aMailServer(refusingWith(451));

  const refused = await emailChannel({ smtpUrl: refusing.smtpUrl, from }).deliver(aMessage(), target, never);
  const later = await emailChannel({ smtpUrl: busy.smtpUrl, from }).deliver(aMessage(), target, never);

  expect(refused).toEqual({ kind: "permanent", reason: "the mail server refuses it (550)" });
  expect(later).toEqual({ kind: "retryable", reason: "the mail server answers 451" });
});

test("when a server is down or never responds the mail may be retried, and the wait is bounded", async () => {
  await using silent = await aMailServer({ onConnect: () => undefined });

  for (const smtpUrl of ["smtp://127.0.0.1:1", silent.smtpUrl]) {
    const outcome = await emailChannel({ smtpUrl, from, timeoutMs: 500 }).deliver(aMessage(), target, never);
    expect(outcome, smtpUrl).toMatchObject({ kind: "retryable" });
  }
});

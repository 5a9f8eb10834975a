#!/usr/bin/env node
/** The program `fleet`: hands the real world to main(). */
import module from "node:module";

// Node ≥ 22.8 keeps compiled code between calls; older ones do without.
if ("enableCompileCache" in module && typeof module.enableCompileCache === "function") module.enableCompileCache();

const { main } = await import("./main.ts");

const interrupted = new AbortController();
process.once("SIGINT", () => {
  interrupted.abort();
  // A second Ctrl-C does not wait for anything.
  process.once("SIGINT", () => process.exit(130));
});

// A reader that has seen enough (`fleet logs … | head`) is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  // The terminal was closed: the hang-up signal says so, too, and there is cleaning up to do.
  if (error.code === "EIO") return;
  throw error;
});

process.exitCode = await main(process.argv.slice(2), {
  // Read here and not in processes/env.ts: that one brings the settings' schema, 50 ms that no verb needs.
  // oxlint-disable-next-line node/no-process-env
  env: process.env,
  cwd: process.cwd(),
  stdout: process.stdout,
  stderr: process.stderr,
  // Opened only by a verb that asks.
  get stdin() {
    return process.stdin;
  },
  signal: interrupted.signal,
  clock: () => new Date(),
  random: Math.random,
});

#!/usr/bin/env node
/** The program `fleet`: passes the real environment, streams and clock to main(). */
import module from "node:module";

// Node ≥ 22.8 caches compiled code between calls; older versions do not have this function.
if ("enableCompileCache" in module && typeof module.enableCompileCache === "function") module.enableCompileCache();

const { main } = await import("./main.ts");

const interrupted = new AbortController();
process.once("SIGINT", () => {
  interrupted.abort();
  // A second Ctrl-C ends the process without waiting for anything.
  process.once("SIGINT", () => process.exit(130));
});

// A reader that closes the pipe early (`fleet logs … | head`) is not a failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  // A write fails when the terminal was closed. The hang-up signal arrives too, and its handler cleans up.
  if (error.code === "EIO") return;
  throw error;
});

process.exitCode = await main(process.argv.slice(2), {
  // Read here and not through processes/env.ts, because that file loads the settings' schema, 50 ms that no verb needs.
  // oxlint-disable-next-line node/no-process-env
  env: process.env,
  cwd: process.cwd(),
  stdout: process.stdout,
  stderr: process.stderr,
  // Opened only when a verb prompts the user.
  get stdin() {
    return process.stdin;
  },
  signal: interrupted.signal,
  clock: () => new Date(),
  random: Math.random,
});

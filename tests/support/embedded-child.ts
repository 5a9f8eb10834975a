/**
 * A fleet process of a test: opens the embedded PostgreSQL of the given home directory, reports it, and stops on
 * SIGTERM.
 */
import { openEmbeddedPostgres } from "../../src/store/embedded/embedded.ts";

const [home = "", systemDir = "/var/lib/fleetwright"] = process.argv.slice(2);
const messages: string[] = [];
const alive = setInterval(() => {}, 1_000);

try {
  const embedded = await openEmbeddedPostgres({ home, systemDir, log: (message) => messages.push(message) });
  console.log(JSON.stringify({ url: embedded.url, startedByUs: embedded.startedByUs, heard: messages }));
  process.once("SIGTERM", () => {
    void embedded.stop().finally(() => clearInterval(alive));
  });
} catch (error) {
  console.log(JSON.stringify({ error: String(error), heard: messages }));
  clearInterval(alive);
}

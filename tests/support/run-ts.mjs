/** Runs a TypeScript file of the tests as a process of its own: node tests/support/run-ts.mjs <file> [arguments]. */
import { runnerImport } from "vite";

const [, , file] = process.argv;
process.argv.splice(1, 1); // the file sees its arguments where it would as a program
// Node 20 knows no `await using`.
await runnerImport(file, { configFile: false, logLevel: "error", oxc: { target: "es2022" } });

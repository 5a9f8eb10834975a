/**
 * Bundles zod into one file next to the built program, with English messages only. Node takes 45 ms to load zod's own 95
 * files (with the messages of every language) and 12 ms to load this one, and every verb, worker and web process loads it.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { rolldown } from "rolldown";

const root = join(import.meta.dirname, "..");
const manifest = createRequire(import.meta.url).resolve("zod/package.json");
const { version, license } = JSON.parse(readFileSync(manifest, "utf8"));
/** Programs in dist/ resolve this copy before the package. */
const to = join(root, "dist", "node_modules", "zod");

const bundle = await rolldown({
  input: join(dirname(manifest), "index.js"),
  platform: "node",
  plugins: [
    {
      name: "english-only",
      load: (id) => (/[\\/]locales[\\/]index\.js$/.test(id) ? 'export { default as en } from "./en.js";' : null),
    },
  ],
});
mkdirSync(to, { recursive: true });
await bundle.write({ file: join(to, "index.js"), format: "esm" });
await bundle.close();
const described = { name: "zod", version, license, type: "module", exports: "./index.js" };
writeFileSync(join(to, "package.json"), `${JSON.stringify(described, null, 2)}\n`);

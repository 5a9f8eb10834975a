/**
 * Puts zod beside the built program as one file with English messages: of its own 95 files (every language's messages among
 * them) Node takes 45 ms to load, of this one 12, and every verb, worker and web process loads it first.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { rolldown } from "rolldown";

const root = join(import.meta.dirname, "..");
const manifest = createRequire(import.meta.url).resolve("zod/package.json");
const { version, license } = JSON.parse(readFileSync(manifest, "utf8"));
/** From dist/, Node finds this one before the package. */
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

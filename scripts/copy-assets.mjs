/** Copies files that the compiler skips (SQL, shell scripts, assets) from src to dist/src, with their modes. */
import { chmodSync, copyFileSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";

const NOT_COPIED = /\.(ts|tsx)$/;
const from = join(import.meta.dirname, "..", "src");
const to = join(import.meta.dirname, "..", "dist", "src");

for (const entry of readdirSync(from, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile() || NOT_COPIED.test(entry.name)) continue;
  const source = join(entry.parentPath, entry.name);
  const target = join(to, relative(from, source));
  mkdirSync(dirname(target), { recursive: true });
  copyFileSync(source, target);
  chmodSync(target, statSync(source).mode);
}

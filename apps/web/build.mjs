// Bundles the viewer: node apps/web/build.mjs [OUTPUT]. The result ships as fields/export/page/viewer.js, and
// tests/web compares it with what this makes of the sources.
import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const common = {
  bundle: true,
  minify: true,
  write: false,
  format: "iife",
  charset: "utf8",
  target: ["chrome120", "firefox121", "safari17"],
  loader: { ".wasm": "binary" },
};
const [main] = (await build({ ...common, entryPoints: [join(here, "src/entry.ts")] })).outputFiles;
const [style] = (await build({ ...common, entryPoints: [join(here, "src/style.css")] })).outputFiles;
const folder = process.argv[2] ?? join(here, "../../fields/export/page");
await writeFile(join(folder, "viewer.js"), main.text);
await writeFile(join(folder, "viewer.css"), style.text);

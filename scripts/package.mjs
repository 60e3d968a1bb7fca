// Builds what surrounds the wasm modules of the npm package in pkg/: the scripts and types of pkg/src, package.json,
// README, licenses and the default model.
//
//   node scripts/package.mjs
//
// Fails if the scripts are larger than their limit after brotli.
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync } from "node:zlib";
import { build } from "esbuild";
import { minify } from "terser";

const root = fileURLToPath(new URL("..", import.meta.url));
const pkg = join(root, "pkg");
const modules = ["simd128", "relaxed", "threads", "readers"];

/** The scripts of the package, each one file; what index, client and worker share is in load.js. */
const scripts = ["index", "load", "client", "worker", "thread"];

/** Bytes that all scripts together may have after brotli. */
const limit = 10_000;

async function buildScripts() {
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: scripts.map((name) => `pkg/src/${name}.ts`),
    outdir: "pkg",
    write: false,
    bundle: true,
    format: "esm",
    target: "es2022",
    legalComments: "none",
    // Only wasm-feature-detect is taken in. Addresses of the package's own files stay as they are written, for bundlers.
    external: [...scripts.map((name) => `./${name}.js`), ...modules.map((name) => `./${name}/*`), "node:fs/promises"],
  });
  let total = 0;
  for (const { path, text } of outputFiles) {
    // What bundlers are told in comments stays; esbuild's own minifier would drop it.
    const { code } = await minify(text, {
      module: true,
      ecma: 2020,
      format: { comments: /webpackIgnore|@vite-ignore/ },
    });
    writeFileSync(path, `${code}\n`);
    total += brotliCompressSync(code).length;
  }
  console.log(
    `package: ${scripts.map((name) => `${name}.js`).join(", ")}: ${total} bytes after brotli, at most ${limit}`,
  );
  if (total > limit)
    throw new Error(`package: the scripts have ${total} bytes after brotli, at most ${limit} are allowed`);
}

/** The types, and with them the check of the sources. They need those of every module. */
function buildTypes() {
  const missing = modules.filter((name) => !existsSync(join(pkg, name, "mobilenet.d.ts")));
  if (missing.length > 0) {
    console.log(`package: types are left out, because there is no pkg/${missing.join(", pkg/")}`);
    return;
  }
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const { status } = spawnSync(process.execPath, [tsc, "-p", "pkg/src"], { cwd: root, stdio: "inherit" });
  if (status !== 0) throw new Error("package: the types of pkg/src do not check");
}

function copyFiles() {
  for (const name of ["package.json", "README.md"]) copyFileSync(join(pkg, "src", name), join(pkg, name));
  for (const name of readdirSync(root).filter((name) => name.startsWith("LICENSE")))
    copyFileSync(join(root, name), join(pkg, name));
  copyFileSync(join(root, "models/mobilenet-0.5-128-tiny-int8.safetensors"), join(pkg, "default.safetensors"));
}

/** Builds everything of the package but the wasm modules. */
export async function buildPackage() {
  await buildScripts();
  buildTypes();
  copyFiles();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildPackage();

// Builds the npm package in pkg/: each wasm module in a folder of its own, and with package.mjs what is around them.
//
//   node scripts/build.mjs                    all
//   node scripts/build.mjs simd128 relaxed    some modules, and what is around them
//
// Does what `wasm-pack build --target web --out-name mobilenet --out-dir pkg/NAME` does, which is to run cargo,
// wasm-bindgen and wasm-opt; flags are in .cargo/, the options of wasm-opt in Cargo.toml. Ends with a table of sizes.
import { readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { ask, Failure, main, modified, root, run } from "./lib.mjs";

const target = "wasm32-unknown-unknown";
const relaxed = ["--config", ".cargo/relaxed.toml"];
const threads = ["--config", ".cargo/threads.toml", "--features", "threads"];

/**
 * `limit` is the largest size after brotli in bytes: where a module stands, with little room. The goals are 120 kB for
 * simd128 and relaxed, 135 for threads and 160 for the readers. Cargo keeps one module of a crate in a target folder.
 */
const modules = {
  simd128: { crate: "mobilenet-wasm", folder: "", args: [], limit: 142_000 },
  relaxed: { crate: "mobilenet-wasm", folder: "relaxed", args: relaxed, limit: 142_000 },
  threads: { crate: "mobilenet-wasm", folder: "threads", args: threads, env: { RUSTC_BOOTSTRAP: "1" }, limit: 160_000 },
  readers: { crate: "mobilenet-readers-wasm", folder: "", args: [], limit: 218_000 },
};

async function buildModule(name, { target_directory, packages }) {
  const { crate, folder, args, env } = modules[name];
  const targetDir = join(target_directory, folder);
  const what = ["--lib", "--release", "--package", crate, "--target", target, "--target-dir", targetDir];
  await run("cargo", ["build", ...what, ...args], { env });

  const compiled = join(targetDir, target, "release", `${crate.replaceAll("-", "_")}.wasm`);
  const out = join(root, "pkg", name);
  const sources = [compiled, join(root, "Cargo.toml"), import.meta.filename].map(modified);
  if (modified(join(out, "mobilenet_bg.wasm")) > Math.max(...sources)) return;

  // Under its own name only when it is complete.
  const part = `${out}.part`;
  rmSync(part, { recursive: true, force: true });
  const flags = ["--target", "web", "--typescript", "--out-name", "mobilenet", "--out-dir", part];
  // With it the loader replaces a module that trapped (pkg/src/crash.ts). The wasm stays the same.
  flags.push("--experimental-reset-state-function");
  await run("wasm-bindgen", [...flags, compiled]);
  const [wasm, optimized] = ["mobilenet_bg.wasm", "optimized.wasm"].map((file) => join(part, file));
  const { metadata } = packages.find(({ name }) => name === "mobilenet-wasm");
  await run("wasm-opt", [wasm, "-o", optimized, ...metadata["wasm-pack"].profile.release["wasm-opt"]]);
  renameSync(optimized, wasm);
  rmSync(out, { recursive: true, force: true });
  renameSync(part, out);
}

/** Prints the sizes of modules, and throws if one is above its limit. */
function checkSizes(names) {
  const rows = names.map((module) => {
    const bytes = readFileSync(join(root, "pkg", module, "mobilenet_bg.wasm"));
    const [gzip, brotli] = [gzipSync(bytes, { level: 9 }), brotliCompressSync(bytes)].map(({ length }) => length);
    return { module, raw: bytes.length, gzip, brotli, limit: modules[module].limit };
  });
  console.table(rows);
  const over = rows.find(({ brotli, limit }) => brotli > limit);
  if (over)
    throw new Failure(`build: ${over.module} has ${over.brotli} bytes after brotli, at most ${over.limit} are allowed`);
}

/** Builds the named modules, and what is around them. */
export async function build(names = Object.keys(modules)) {
  const unknown = names.find((name) => !Object.hasOwn(modules, name));
  if (unknown) throw new Failure(`build: modules are ${Object.keys(modules).join(", ")}, got ${unknown}`);
  const workspace = JSON.parse(ask("cargo", ["metadata", "--format-version", "1", "--no-deps"]));
  // Linking and wasm-opt keep one core busy each, so target folders are filled side by side.
  const folders = new Set(names.map((name) => modules[name].folder));
  const fill = async (folder) => {
    for (const name of names) if (modules[name].folder === folder) await buildModule(name, workspace);
  };
  await Promise.all([...folders].map(fill));
  const { buildPackage } = await import("./package.mjs"); // its packages may have been installed just before
  await buildPackage();
  checkSizes(names);
}

await main(import.meta, (names) => build(names.length ? names : undefined));

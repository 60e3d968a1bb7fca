// Builds the npm package in pkg/: the variants and readers in their folders, package.json, the licence and the README.
//
//   node scripts/build.mjs                    all that the package has
//   node scripts/build.mjs simd128 relaxed    some of it
//   node scripts/build.mjs floats             the class without int8 and teaching, for a page that imports
//                                             pkg/floats/mobilenet.js itself
//
// Cargo decides what to compile; wasm-bindgen and wasm-opt run only where the compiled wasm, their
// versions or the flags have changed since the last build. Ends with a table of sizes.
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { commandLine, duration, Failure, main, root, run, say } from "./lib/shell.mjs";
import { programVersion, toolEnvironment } from "./lib/tools.mjs";
import { builds, loaderSize, packaged, variantEnvironment } from "./lib/variants.mjs";

const pkg = join(root, "pkg");
const target = "wasm32-unknown-unknown";

function manifest() {
  const text = readFileSync(join(root, "Cargo.toml"), "utf8");
  const section = text.split(/^\[package\]$/m)[1].split(/^\[/m)[0];
  const field = (name) => section.match(new RegExp(`^${name} = "(.*)"`, "m"))?.[1];
  return { version: field("version"), description: field("description"), license: field("license"), metadata: text.match(/^\[package\.metadata\.wasm-pack[^]*?(?=^\[(?!package\.metadata\.wasm-pack)|(?![^]))/m)?.[0] ?? "" };
}

/** The package's own files in pkg/ that end so; a bare `wasm-pack build` puts its mobilenet* beside them. */
const ownFiles = (...endings) =>
  readdirSync(pkg).filter((file) => endings.some((ending) => file.endsWith(ending)) && !file.startsWith("mobilenet"));

/** package.json of the npm package; not committed, because a bare `wasm-pack build` writes its own there. */
function writePackageJson() {
  const { version, description, license } = manifest();
  const contents = {
    name: "mobilenet-wasm",
    version,
    description,
    license,
    keywords: ["mobilenet", "wasm", "simd", "image-classification", "webassembly"],
    type: "module",
    sideEffects: false,
    types: "./index.d.ts",
    exports: {
      ".": { types: "./index.d.ts", default: "./index.js" },
      "./worker": { types: "./worker.d.ts", default: "./worker.js" },
      "./package.json": "./package.json",
      "./*.wasm": "./*.wasm",
    },
    files: [...ownFiles(".js", ".d.ts"), "default.safetensors", "LICENSE*", ...packaged.map(({ name }) => `${name}/`)],
  };
  if (!existsSync(join(pkg, "worker.js"))) delete contents.exports["./worker"];
  else if (!existsSync(join(pkg, "worker.d.ts"))) delete contents.exports["./worker"].types;
  writeFileSync(join(pkg, "package.json"), `${JSON.stringify(contents, null, 2)}\n`);
}

/** What `load` takes where no weights are given. */
function copyNetwork() {
  copyFileSync(join(root, "models", "mobilenet-0.5-128-tiny-int8.safetensors"), join(pkg, "default.safetensors"));
}

/** The licences, and the README without its links to files that the package does not have. */
function copyTexts() {
  for (const file of readdirSync(root).filter((name) => name.startsWith("LICENSE"))) copyFileSync(join(root, file), join(pkg, file));
  const readme = readFileSync(join(root, "README.md"), "utf8");
  writeFileSync(join(pkg, "README.md"), readme.replace(/^!\[.*\n\n/gm, "").replace(/\[([^\]]*)\]\((?!https?:|LICENSE)[^)]*\)/g, "$1"));
}

/** Writes `from` to `to` without what only readers of the source need. What bundlers are told stays. */
async function shrink(from, to) {
  // Not there yet when this file is read on a fresh machine: the set-up installs it.
  const { minify } = await import("terser");
  const { code } = await minify(readFileSync(from, "utf8"), { module: true, format: { comments: /webpackIgnore|@vite-ignore/ } });
  writeFileSync(to, `${code}\n`);
}

const scripts = (folder) => readdirSync(folder, { recursive: true }).filter((file) => file.endsWith(".js"));

/** The loader and the worker client as pages get them, from pkg/src. */
async function buildLoader() {
  const source = join(pkg, "src");
  for (const file of scripts(source)) await shrink(join(source, file), join(pkg, file));
}

/**
 * Numbers instead of the hashes in the names of what JavaScript lends: sixteen digits each that no brotli makes smaller.
 * They are as long, so that nothing moves.
 */
function numberImports(folder) {
  const [script, wasm] = ["mobilenet.js", "mobilenet_bg.wasm"].map((file) => join(folder, file));
  const hashes = [...new Set(readFileSync(script, "latin1").match(/(?<=__wbg_\w+_)[0-9a-f]{16}\b/g))];
  for (const file of [script, wasm]) {
    const numbered = (text, hash, index) => text.replaceAll(`_${hash}`, `_${String(index).padStart(16, "0")}`);
    writeFileSync(file, hashes.reduce(numbered, readFileSync(file, "latin1")), "latin1");
  }
}

/** What wasm-opt does: the list of Cargo.toml. */
const optimisation = () => [...manifest().metadata.matchAll(/^\s*"(-.*)",$/gm)].map(([, pass]) => pass);

/** What decides whether wasm-bindgen and wasm-opt must run again. */
function fingerprint(variant) {
  const wasm = join(variant.targetDir, target, "release", "mobilenet.wasm");
  const hash = createHash("sha256").update(readFileSync(wasm));
  const tools = ["wasm-pack", "wasm-bindgen"].map(programVersion);
  const versions = ["binaryen", "terser"].map((name) => JSON.parse(readFileSync(join(root, `node_modules/${name}/package.json`), "utf8")).version);
  return hash.update(JSON.stringify([tools, versions, manifest().metadata, variant.rustflags, String(numberImports)])).digest("hex");
}

async function buildVariant(variant) {
  const started = Date.now();
  // Two of cargo's moving progress bars would write over each other.
  const env = { ...toolEnvironment(), ...variantEnvironment(variant), CARGO_TERM_PROGRESS_WHEN: "never" };
  const cargoArgs = ["build", "--lib", "--release", "--target", target, ...variant.cargoArgs];
  say(`build: ${variant.name}: ${commandLine("cargo", cargoArgs, env)}`);
  await run("cargo", cargoArgs, { env });

  const stamp = join(variant.targetDir, `package-${variant.name}.sha256`);
  const before = existsSync(stamp) ? readFileSync(stamp, "utf8") : "";
  const now = fingerprint(variant);
  const complete = ["mobilenet.js", "mobilenet.d.ts", "mobilenet_bg.wasm"].every((file) => existsSync(join(variant.folder, file)));
  if (now === before && complete) {
    say(`build: ${variant.name}: unchanged`);
    return;
  }
  // What is broken off half way must not pass for what was there before.
  rmSync(stamp, { force: true });
  rmSync(variant.folder, { recursive: true, force: true });
  // Atomics must keep the hints of their alignment, so those modules are optimised without that one pass.
  const atomics = variant.rustflags.join().includes("+atomics");
  const packArgs = ["build", "--target", "web", "--release", ...(atomics ? ["--no-opt"] : []), "--out-dir", variant.folder, ".", ...variant.cargoArgs];
  await run("wasm-pack", packArgs, { env, quiet: true });
  if (atomics) {
    const [wasm, passes] = [join(variant.folder, "mobilenet_bg.wasm"), optimisation().filter((pass) => pass !== "--dealign")];
    await run(join(root, "node_modules/.bin/wasm-opt"), [...passes, wasm, "-o", wasm], { quiet: true });
  }
  numberImports(variant.folder);
  // wasm-pack makes each folder a package that git and npm ignore; these are parts of one package.
  for (const file of [".gitignore", "package.json", "README.md", "LICENSE", "LICENSE-APACHE", "LICENSE-MIT"]) {
    rmSync(join(variant.folder, file), { force: true });
  }
  for (const file of scripts(variant.folder)) await shrink(join(variant.folder, file), join(variant.folder, file));
  writeFileSync(stamp, now);
  say(`build: ${variant.name}: done in ${duration(Date.now() - started)}`);
}

const brotli = (bytes) =>
  brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } }).length;

function measure(name, files, { goal, limit } = {}) {
  const sum = (weigh) => files.map((file) => weigh(readFileSync(file))).reduce((total, size) => total + size, 0);
  return { name, raw: sum((bytes) => bytes.length), gzip: sum((bytes) => gzipSync(bytes, { level: 9 }).length), brotli: sum(brotli), goal, limit };
}

/** Sizes of what is built: rows of { name, raw, gzip, brotli, goal, limit } in bytes; goal and limit are for brotli. */
export function sizes() {
  const rows = [];
  for (const { name, folder, goal, limit } of builds) {
    const wasm = join(folder, "mobilenet_bg.wasm");
    if (!existsSync(wasm)) continue;
    rows.push(measure(`${name}/mobilenet_bg.wasm`, [wasm], { goal, limit }));
    rows.push(measure(`${name}/*.js`, scripts(folder).map((file) => join(folder, file))));
  }
  const files = ownFiles(".js");
  if (files.length) rows.push(measure(files.join(" + "), files.map((file) => join(pkg, file)), loaderSize));
  return rows;
}

/** Prints the sizes, and throws where one is above its limit. */
export function checkSizes() {
  const rows = sizes();
  const width = Math.max(...rows.map(({ name }) => name.length));
  const cell = (bytes) => (bytes === undefined ? "" : (bytes / 1000).toFixed(1)).padStart(9);
  say(`${"kB".padEnd(width)}${["raw", "gzip", "brotli", "goal", "limit"].map((title) => title.padStart(9)).join("")}`);
  for (const { name, raw, gzip, brotli: small, goal, limit } of rows) say(`${name.padEnd(width)}${[raw, gzip, small, goal, limit].map(cell).join("")}`);
  for (const { name, brotli: small, goal } of rows) if (small > goal) say(`build: ${name} misses its goal: ${(small / goal).toFixed(1)} times as large.`);
  const over = rows.filter(({ brotli: small, limit }) => small > limit);
  if (over.length) throw new Failure(`build: too large after brotli: ${over.map(({ name }) => name).join(", ")}.`);
}

/** Why a variant cannot be built from this source, or null. */
function obstacle({ name }) {
  if (name !== "threads") return null;
  const files = readdirSync(join(root, "src", "js"), { recursive: true }).filter((file) => file.endsWith(".rs"));
  const startsPool = files.some((file) => readFileSync(join(root, "src", "js", file), "utf8").includes("ThreadPoolBuilder"));
  return startsPool ? null : "src/js starts no pool of threads yet";
}

/** Builds the named variants (those of the package by default) and what surrounds them. */
export async function build(names = packaged.map(({ name }) => name)) {
  const unknown = names.filter((name) => !builds.some((variant) => variant.name === name));
  if (unknown.length) throw new Failure(`build: no variant is called ${unknown.join(", ")}; there are ${builds.map(({ name }) => name).join(", ")}.`);
  const waiting = builds.filter(({ name }) => names.includes(name));
  const lane = async () => {
    for (let variant = waiting.shift(); variant; variant = waiting.shift()) {
      const reason = obstacle(variant);
      try {
        if (reason) say(`build: ${variant.name}: skipped: ${reason}`);
        else await buildVariant(variant);
      } catch (error) {
        // The other lane ends with the variant that it is at.
        waiting.length = 0;
        throw error;
      }
    }
  };
  // Linking and wasm-opt keep one core busy, so two variants are under way at a time where there are two.
  const lanes = await Promise.allSettled(availableParallelism() > 1 ? [lane(), lane()] : [lane()]);
  for (const { reason } of lanes) if (reason) throw reason;
  rmSync(join(pkg, ".gitignore"), { force: true });
  await buildLoader();
  writePackageJson();
  copyTexts();
  copyNetwork();
}

await main(import.meta, async (args) => {
  await build(args.length ? args : undefined);
  checkSizes();
});

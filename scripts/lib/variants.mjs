// The builds of the package: their names, compiler flags and places, and how large each may be.
// build.mjs makes them, test.mjs checks their sizes, and the loader in pkg/index.js chooses among them.
import { join, resolve } from "node:path";
import { root } from "./shell.mjs";

const simd = "+simd128";
const relaxed = `${simd},+relaxed-simd`;

// Without loop strength reduction LLVM keeps constant offsets in wasm loads: a tenth of the pointwise kernel's time.
const offsets = "-Cllvm-args=-disable-lsr";

// The package is compiled for size, its kernels alone for speed (Cargo.toml). The standard library is compiled along, for
// size too and without the sentences of panics, which no input reaches: a fifth of the whole. A bare `wasm-pack build`
// uses the precompiled library and keeps the sentences. What the standard library marks `#[inline]` is inlined where that
// is smaller, not always; the kernels, compiled for speed, have a threshold of their own.
const small = {
  rustflags: ["-Zunstable-options", "-Cpanic=immediate-abort", "-Zlocation-detail=none", "-Cllvm-args=-inlinehint-threshold=50"],
  cargoArgs: ["-Zbuild-std=std,panic_abort", "-Zbuild-std-features=optimize_for_size"],
};

// Shared memory, and the exports through which wasm-bindgen sets up each thread's own storage.
const sharedMemory = [
  "--shared-memory",
  "--max-memory=1073741824",
  "--import-memory",
  "--export=__wasm_init_tls",
  "--export=__tls_size",
  "--export=__tls_align",
  "--export=__tls_base",
].map((argument) => `-Clink-arg=${argument}`);

const targetRoot = resolve(root, process.env.CARGO_TARGET_DIR ?? "target");

/** Cargo features of the package's class. */
const whole = "class,int8,teach";

/**
 * Each variant has a target folder of its own, because a change of flags rebuilds everything in a folder.
 *
 * `goal` is the size after brotli that the package is to reach and does not reach yet; a build says by how much it
 * misses it. `limit` is where it stands today with a little room, and a build that exceeds it fails, so that nothing
 * grows unseen on the way down. Lower the limit with every saving.
 */
const modules = [
  { name: "simd128", features: whole, flags: [`-Ctarget-feature=${simd}`], goal: 75_000, limit: 75_000 },
  { name: "relaxed", features: whole, flags: [`-Ctarget-feature=${relaxed}`], goal: 75_000, limit: 75_000 },
  // Shared memory needs a standard library with atomics.
  { name: "threads", features: `${whole},threads`, flags: [`-Ctarget-feature=+atomics,+bulk-memory,${relaxed}`, ...sharedMemory], goal: 125_000, limit: 88_000 },
  // What reads TFLite and TF.js, fetched when such a file comes; speed is no matter.
  { name: "readers", features: "readers", flags: [`-Ctarget-feature=${simd}`], level: "z", limit: 148_000 },
  // For a page that only wants to classify, in floats: not part of the package, built where it is asked for.
  { name: "floats", features: "class", flags: [`-Ctarget-feature=${relaxed}`], limit: 60_000, apart: true },
].map(({ flags, features, level = "s", ...variant }) => ({
  ...variant,
  // What the compiler may use, without how the package is made small: tests take these alone.
  codeFlags: [...flags, offsets],
  rustflags: [...flags, offsets, ...small.rustflags],
  cargoArgs: ["--no-default-features", "--features", features, ...small.cargoArgs],
  env: { RUSTC_BOOTSTRAP: "1", CARGO_PROFILE_RELEASE_OPT_LEVEL: level },
  targetDir: join(targetRoot, variant.name),
  folder: join(root, "pkg", variant.name),
}));

/** Everything that can be compiled for a page. */
export const builds = modules;

/** What the package has of it. */
export const packaged = modules.filter(({ apart }) => !apart);

/** The package's builds of the class. */
export const variants = packaged.filter(({ name }) => name !== "readers");

/** The same for the loader and the worker client together. */
export const loaderSize = { goal: 6_000, limit: 5_500 };

/** The environment that makes cargo and wasm-pack compile `variant`. */
export function variantEnvironment({ rustflags, env, targetDir }) {
  return { ...env, RUSTFLAGS: rustflags.join(" "), CARGO_TARGET_DIR: targetDir };
}

// Rust's standard library for wasm32 where rustup's server is out of reach: its source from Debian's
// package of the same version, and the compiled library from that source.
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { unpackDebianPackage } from "./debian.mjs";
import { Failure, run, say } from "./shell.mjs";
import { rustVersion, sysroot } from "./tools.mjs";

const target = "wasm32-unknown-unknown";

// Both folders get a note of the compiler they belong to, so that a later compiler replaces them
// and rustup, once its server answers, is not stopped by files that it did not install.
const note = "copied-for-rustc";
const sourceFolder = () => join(sysroot(), "lib", "rustlib", "src", "rust", "library");
const stdFolder = () => join(sysroot(), "lib", "rustlib", target);
const noteOf = (folder) => (existsSync(join(folder, note)) ? readFileSync(join(folder, note), "utf8").trim() : null);

/** Whether the library source of the compiler in use is there (rustup's own is kept in step by rustup). */
export function hasRustSource() {
  if (sysroot() === null) return false; // no Rust at all, which is a need of its own
  const folder = sourceFolder();
  const owner = noteOf(folder);
  return existsSync(join(folder, "Cargo.lock")) && (owner === null || owner === rustVersion());
}

/** Removes a standard library that an earlier set-up built, so that rustup can install its own. */
export function prepareForRustup() {
  if (noteOf(stdFolder()) !== null) rmSync(stdFolder(), { recursive: true });
}

/** Puts the library source of the compiler's version, from Debian's package, where cargo looks for it. */
export async function unpackDebianRustSource() {
  const version = rustVersion();
  const unpacked = await unpackDebianPackage("rust-src", version);
  const library = join(unpacked, "usr", "src", `rustc-${version}`, "library");
  if (!existsSync(library)) throw new Failure(`Debian's rust-src ${version} holds no usr/src/rustc-${version}/library`);
  rmSync(sourceFolder(), { recursive: true, force: true });
  mkdirSync(dirname(sourceFolder()), { recursive: true });
  cpSync(library, sourceFolder(), { recursive: true, verbatimSymlinks: true });
  writeFileSync(join(sourceFolder(), note), `${version}\n`);
  rmSync(dirname(unpacked), { recursive: true, force: true });
}

/** Compiles the standard library for wasm32 from the source that is there, and installs it beside the compiler. */
export async function buildWasmStd() {
  const folder = mkdtempSync(join(tmpdir(), "wasm-std-"));
  mkdirSync(join(folder, "src"));
  writeFileSync(join(folder, "src", "lib.rs"), "");
  writeFileSync(join(folder, "Cargo.toml"), '[package]\nname = "empty"\nversion = "0.0.0"\nedition = "2021"\n\n[workspace]\n');
  say("  compiling the standard library (about 1 minute)");
  await run("cargo", ["build", "--release", "--target", target, "-Zbuild-std=std,panic_abort,panic_unwind,proc_macro,test"], {
    cwd: folder,
    // Without bitcode in the rlibs, link-time optimisation of anything that uses them fails.
    env: { RUSTC_BOOTSTRAP: "1", RUSTFLAGS: "-Cembed-bitcode=yes", CARGO_TARGET_DIR: join(folder, "target"), CARGO_BUILD_TARGET: "" },
    quiet: true,
  });
  const built = join(folder, "target", target, "release", "deps");
  const destination = join(stdFolder(), "lib");
  rmSync(stdFolder(), { recursive: true, force: true });
  mkdirSync(destination, { recursive: true });
  for (const file of readdirSync(built)) {
    if (file.endsWith(".rlib") && !file.startsWith("libempty-")) cpSync(join(built, file), join(destination, file));
  }
  writeFileSync(join(stdFolder(), note), `${rustVersion()}\n`);
  rmSync(folder, { recursive: true, force: true });
}

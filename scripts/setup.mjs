// Installs what this machine lacks, and nothing else. What is present is found by using it, and is left alone.
//
//   node scripts/setup.mjs                       for `npm start` and `npm test`
//   node scripts/setup.mjs start                 for `npm start`
//   node scripts/setup.mjs start test firefox    for the tests in Firefox too
//
// The first of the ways to install something that works is taken: prebuilt programs first, compiling last.
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chrome } from "../tests/browser.js";
import { ask, cargoBin, duration, Failure, local, main, modified, root, run, works } from "./lib.mjs";

// Each of these makes a way to install something: a function.

/** Fails within seconds if there is no rustup, or its server is out of reach. */
const rustup = (args) => () => run("rustup", args.split(" "), { env: { RUSTUP_MAX_RETRIES: "0" }, timeout: 180_000 });

const debian = (what) => () => run("bash", [".ci/rust-std.sh", what]);

/** Compiles without optimization, which takes two thirds of the time: these programs run for seconds. */
const cargo = (args) => () => {
  const env = { CARGO_PROFILE_DEV_OPT_LEVEL: "0", CARGO_PROFILE_DEV_DEBUG: "0", CARGO_INCREMENTAL: "0" };
  return run("cargo", ["install", "--debug", ...args.split(" ")], { env });
};

const apt = (packages) => async () => {
  const install = ["install", "--yes", "--quiet", "--no-install-recommends", ...packages.split(" ")];
  await run("apt-get", install).catch(async () => {
    await run("apt-get", ["update"]);
    await run("apt-get", install);
  });
};

/** Takes programs out of what the project wasm-bindgen releases for this machine. */
const release = (name, tag, programs) => async () => {
  const system = process.platform === "darwin" ? "apple-darwin" : "unknown-linux-musl";
  const host = `${process.arch === "arm64" ? "aarch64" : "x86_64"}-${system}`;
  const releases = `https://github.com/wasm-bindgen/${name}/releases/download`;
  const folder = mkdtempSync(join(tmpdir(), "release-"));
  try {
    const archive = join(folder, "archive.tar.gz");
    const limits = ["--connect-timeout", "10", "--max-time", "120"];
    await run("curl", ["-fsSL", ...limits, "-o", archive, `${releases}/${tag}/${name}-${tag}-${host}.tar.gz`]);
    await run("tar", ["-xzf", archive, "-C", folder, "--strip-components=1"]);
    for (const program of programs) copyFileSync(join(folder, program), join(cargoBin, program));
  } finally {
    rmSync(folder, { recursive: true });
  }
};

const npm = (folder, ...args) => {
  const env = { PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD: "1" };
  return () => run("npm", ["ci", "--no-audit", "--no-fund", ...args], { cwd: join(root, folder), env });
};

/** wasm-pack looks for wasm-opt in PATH, also in a shell that knows nothing of npm. */
const linkWasmOpt = () => {
  rmSync(join(cargoBin, "wasm-opt"), { force: true }); // a link to a checkout that is gone
  symlinkSync(join(root, "node_modules/binaryen/bin/wasm-opt"), join(cargoBin, "wasm-opt"));
};

/** Whether `npm ci` has run in a folder since its package-lock.json changed. */
const hasNpmPackages = (folder) =>
  modified(join(root, folder, "node_modules/.package-lock.json")) > modified(join(root, folder, "package-lock.json"));

/** Whether the compiler can compile for the browser: it is asked to. */
function hasWasmStd() {
  const library = ["--crate-type", "lib", "--crate-name", "probe", "--emit", "metadata=-", "-"];
  return (
    ask("rustc", ["--target", "wasm32-unknown-unknown", ...library], "pub fn f() -> Vec<u8> { Vec::new() }") !== null
  );
}

const hasRustSource = () =>
  existsSync(join(ask("rustc", ["--print", "sysroot"]), "lib/rustlib/src/rust/library/Cargo.lock"));

/** Debian has a ChromeDriver of its Chromium; that of any other Chrome is fetched by wasm-pack. */
const hasChromeDriver = () => works("chromedriver") || !chrome().endsWith("/chromium");

const bindgen = ask("cargo", ["pkgid", "wasm-bindgen"])?.split("@").at(-1); // the version in Cargo.lock
const bindgenPrograms = ["wasm-bindgen", "wasm-bindgen-test-runner"];
const pack = "0.15.1";

/** [for which command, name, whether it is present, ways to install it], in the order in which they need one another. */
const needs = [
  ["start", "Rust (https://rustup.rs)", () => works("cargo") && works("rustc")],
  ["test", "npm packages", () => hasNpmPackages(".") && existsSync(local("playwright")), npm(".")],
  ["start", "npm packages", () => hasNpmPackages("."), npm(".", "--omit=dev")],
  ["test", "npm packages of tests/bundlers", () => hasNpmPackages("tests/bundlers"), npm("tests/bundlers")],
  ["start", "Rust for wasm32", hasWasmStd, rustup("target add wasm32-unknown-unknown"), debian("library")],
  ["start", "the source of Rust's std, for threads", hasRustSource, rustup("component add rust-src"), debian("source")],
  ["test", "rustfmt", () => works("rustfmt"), rustup("component add rustfmt")],
  ["test", "clippy", () => works("cargo-clippy"), rustup("component add clippy")],
  [
    "start",
    `wasm-bindgen ${bindgen}`,
    () => ask("wasm-bindgen", ["--version"])?.split(" ")[1] === bindgen && works("wasm-bindgen-test-runner"),
    release("wasm-bindgen", bindgen, bindgenPrograms),
    // Its features serve tests on other machines' browsers.
    cargo(`wasm-bindgen-cli --version ${bindgen} --no-default-features --bin ${bindgenPrograms.join(" --bin ")}`),
  ],
  ["start", "wasm-opt", () => works("wasm-opt"), linkWasmOpt],
  ["test", "wasm-pack", () => works("wasm-pack"), release("wasm-pack", `v${pack}`, ["wasm-pack"]), cargo("wasm-pack")],
  ["test", "Chrome or Chromium", () => Boolean(chrome()), apt("chromium chromium-driver fonts-liberation")],
  ["test", "ChromeDriver", hasChromeDriver, apt("chromium-driver")],
  ["firefox", "Firefox", () => works("firefox") || works("firefox-esr"), apt("firefox-esr")],
  ["firefox", "geckodriver", () => works("geckodriver"), cargo("geckodriver")],
  ["fuzz", "cargo-fuzz", () => works("cargo-fuzz"), cargo("cargo-fuzz")],
];

/** Installs what is missing for "start", "test" (which needs "start" too), "firefox", "fuzz". */
export async function setup(...commands) {
  mkdirSync(cargoBin, { recursive: true });
  let missing = 0;
  for (const [command, name, present, ...ways] of needs) {
    if (!commands.includes(command) || present()) continue;
    const started = Date.now();
    console.log(`setup: ${name}: missing`);
    for (const install of ways) {
      try {
        if (!present()) await install();
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        console.log(`setup: ${error.message}`);
      }
    }
    if (!present()) throw new Failure(`setup: ${name} could not be installed; install it, and run this again`);
    console.log(`setup: ${name}: installed in ${duration(Date.now() - started)}`);
    missing++;
  }
  console.log(missing ? "setup: complete" : "setup: nothing is missing");
}

await main(import.meta, async (commands) => {
  const unknown = commands.find((name) => !needs.some(([command]) => command === name));
  if (unknown) throw new Failure(`setup: commands are start, test, firefox and fuzz, got ${unknown}`);
  await setup(...(commands.length ? commands : ["start", "test"]));
});

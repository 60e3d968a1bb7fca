// Installs what this machine lacks to build, test and serve the project, and nothing else.
//
//   node scripts/setup.mjs                 all that `npm start` and `npm test` need
//   node scripts/setup.mjs base firefox    the same and Firefox with geckodriver
//   node scripts/setup.mjs fuzz            cargo-fuzz
//   node scripts/setup.mjs chrome          one thing by its name
//   node scripts/setup.mjs --to-serve      all, but what only tests need may stay missing
//   node scripts/setup.mjs --check         only say what is missing; exit code 1 if something is
//
// Each need is probed by using it, never by a note that it was installed once; what is present is
// left alone. What is missing is installed the ordinary way, and where that fails the next way is tried.
import { existsSync, lstatSync, readFileSync, readlinkSync, rmSync, symlinkSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { commandLine, duration, Failure, main, root, run, say, which } from "./lib/shell.mjs";
import { canInstallDebianPackages, installDebianPackages } from "./lib/debian.mjs";
import { buildWasmStd, hasRustSource, prepareForRustup, unpackDebianRustSource } from "./lib/rust-std.mjs";
import * as tools from "./lib/tools.mjs";

// A server that is out of reach must cost seconds: no retries, and an end to waiting.
const rustup = (args) => run("rustup", args, { env: { RUSTUP_MAX_RETRIES: "0", RUST_BACKTRACE: "0" }, timeout: 180_000, quiet: true });
const hasRustup = () => which("rustup") !== null;

/** The versions that the program's authors tested, else, where a registry lacks one of them, the newest that fit. */
const cargoInstall = (name, version = "") => {
  const args = ["install", name, ...(version ? ["--version", version] : [])];
  const way = (words) => ({ how: commandLine("cargo", words), install: () => run("cargo", words) });
  return [way([...args, "--locked"]), way(args)];
};

function npmPackagesAreInstalled(folder = root) {
  const read = (file) => JSON.parse(readFileSync(join(folder, file), "utf8")).packages;
  try {
    const wanted = read("package-lock.json");
    const installed = read("node_modules/.package-lock.json");
    return Object.entries(wanted).every(
      ([path, { version, optional }]) => path === "" || optional || installed[path]?.version === version,
    );
  } catch {
    return false;
  }
}

/** `npm ci` in a folder with a package-lock.json; does nothing where its packages are already there. */
export async function installNpmPackages(folder = root) {
  if (npmPackagesAreInstalled(folder)) return;
  const env = { PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD: "1", PUPPETEER_SKIP_DOWNLOAD: "1" };
  await run("npm", ["ci", "--no-audit", "--no-fund"], { cwd: folder, env });
}

const cargoBin = join(process.env.CARGO_HOME ?? join(homedir(), ".cargo"), "bin");

/** A bare `wasm-pack build` looks for wasm-opt on PATH, so npm's is linked there if there is none. */
function linkWasmOpt() {
  const link = join(cargoBin, "wasm-opt");
  if (lstatSync(link, { throwIfNoEntry: false })?.isSymbolicLink()) {
    say(`  replacing the dangling link ${link} -> ${readlinkSync(link)}`);
    rmSync(link);
  }
  symlinkSync(join(root, "node_modules", "binaryen", "bin", "wasm-opt"), link);
}

/** Whether apt can install the ChromeDriver of the Chrome that is here: it has Chromium's, not Google Chrome's. */
const debianHasItsDriver = () => canInstallDebianPackages() && tools.chrome()?.endsWith("/chromium");

/** @typedef {{how: string, possible?: () => boolean, install: () => any}} Way */
/** @typedef {{name: string, what: string, present: () => boolean, ways: Way[], help: string, onlyForTests?: boolean}} Need */

/** @type {Need[]} in the order in which they build on one another */
const needs = [
  {
    name: "rust",
    what: "Rust with rustfmt and clippy",
    present: () => ["cargo", "rustfmt", "cargo-clippy"].every((name) => tools.programVersion(name) !== null),
    ways: [{ how: "rustup component add rustfmt clippy", possible: hasRustup, install: () => rustup(["component", "add", "rustfmt", "clippy"]) }],
    help: "Install Rust with rustup (https://rustup.rs).",
  },
  {
    name: "npm",
    what: "npm packages of package-lock.json",
    present: () => npmPackagesAreInstalled(),
    ways: [{ how: "npm ci", install: () => installNpmPackages() }],
    help: "Is the npm registry within reach?",
  },
  {
    name: "chrome",
    what: "Chrome or Chromium, and ChromeDriver",
    // The user's own Chrome is enough: wasm-pack fetches the ChromeDriver that fits it.
    present: () => tools.chrome() !== null && (tools.chromeDriver() !== null || !debianHasItsDriver()),
    ways: [
      {
        how: "apt-get install chromium-driver (for the Chrome that is here)",
        possible: debianHasItsDriver,
        install: () => installDebianPackages(["chromium-driver"]),
      },
      {
        how: "apt-get install chromium chromium-driver",
        possible: () => canInstallDebianPackages() && tools.chrome() === null,
        install: () => installDebianPackages(["chromium", "chromium-driver", "fonts-liberation"]),
      },
    ],
    help: "Install Chrome or Chromium (on Debian: `apt install chromium chromium-driver`), or set CHROME and CHROMEDRIVER to their paths.",
    onlyForTests: true,
  },
  {
    name: "wasm-std",
    what: "Rust's standard library for wasm32-unknown-unknown",
    present: tools.hasWasmStd,
    ways: [
      {
        how: "rustup target add wasm32-unknown-unknown",
        possible: hasRustup,
        install: () => {
          prepareForRustup();
          return rustup(["target", "add", "wasm32-unknown-unknown"]);
        },
      },
      {
        how: "build it from the Rust source that is here",
        possible: hasRustSource,
        install: buildWasmStd,
      },
      {
        how: "build it from Debian's rust-src package of the compiler's version",
        possible: () => which("dpkg") !== null,
        install: async () => {
          await unpackDebianRustSource();
          await buildWasmStd();
        },
      },
    ],
    help: "Run `rustup target add wasm32-unknown-unknown`.",
  },
  {
    name: "rust-src",
    what: "Rust's library source (the package compiles it along, for size)",
    present: hasRustSource,
    ways: [
      { how: "rustup component add rust-src", possible: hasRustup, install: () => rustup(["component", "add", "rust-src"]) },
      {
        how: "unpack Debian's rust-src package of the compiler's version",
        possible: () => which("dpkg") !== null,
        install: unpackDebianRustSource,
      },
    ],
    help: "Run `rustup component add rust-src`.",
  },
  {
    name: "wasm-bindgen",
    what: `wasm-bindgen's program, version ${tools.lockedVersion("wasm-bindgen")} as in Cargo.lock`,
    // Another version on PATH is the user's own: wasm-pack then fetches the right one for itself.
    present: () => which("wasm-bindgen") !== null || tools.lockedVersion("wasm-bindgen") === null,
    ways: cargoInstall("wasm-bindgen-cli", tools.lockedVersion("wasm-bindgen")),
    help: "Is the registry of crates within reach?",
  },
  {
    name: "wasm-pack",
    what: "wasm-pack",
    present: () => tools.programVersion("wasm-pack") !== null,
    ways: cargoInstall("wasm-pack"),
    help: "Is the registry of crates within reach?",
  },
  {
    name: "wasm-opt",
    what: "wasm-opt where a bare `wasm-pack build` finds it",
    present: () => which("wasm-opt") !== null,
    ways: [{ how: `link npm's into ${cargoBin}`, possible: () => existsSync(cargoBin), install: linkWasmOpt }],
    help: "Install binaryen.",
  },
];

/** @type {Need[]} installed only when asked for by name */
const extras = [
  {
    name: "firefox",
    what: "Firefox",
    present: () => tools.firefox() !== null,
    ways: [{ how: "apt-get install firefox-esr", possible: canInstallDebianPackages, install: () => installDebianPackages(["firefox-esr"]) }],
    help: "Install Firefox, or set FIREFOX to its path.",
  },
  {
    name: "geckodriver",
    what: "geckodriver",
    present: () => tools.geckoDriver() !== null,
    ways: cargoInstall("geckodriver"),
    help: "Is the registry of crates within reach?",
  },
  {
    name: "fuzz",
    what: "cargo-fuzz",
    present: () => which("cargo-fuzz") !== null,
    ways: cargoInstall("cargo-fuzz"),
    help: "Is the registry of crates within reach?",
  },
];

async function provide(need) {
  const started = Date.now();
  let reason = "";
  for (const way of need.ways) {
    if (way.possible && !way.possible()) continue;
    say(`setup: ${need.what}: missing; ${way.how}`);
    try {
      await way.install();
      if (need.present()) {
        say(`setup: ${need.what}: done in ${duration(Date.now() - started)}`);
        return;
      }
      reason = `\`${way.how}\` succeeded, but the probe still fails.`;
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      reason = error.message;
    }
    say(`setup: that did not work: ${reason}`);
  }
  throw new Failure(`setup: ${need.what} could not be installed. ${need.help}`);
}

/** Installs what is missing of the named needs ("base" stands for all that are not extras). */
export async function setup(names = ["base"], { check = false, toServe = false } = {}) {
  const wanted = new Set(names.flatMap((name) => (name === "base" ? needs.map((need) => need.name) : name)));
  if (wanted.has("firefox")) wanted.add("geckodriver");
  const all = [...needs, ...extras];
  const unknown = [...wanted].filter((name) => !all.some((need) => need.name === name));
  if (unknown.length) throw new Failure(`setup: no need is called ${unknown.join(", ")}; there are ${all.map((need) => need.name).join(", ")}.`);

  const missing = all.filter((need) => wanted.has(need.name) && !need.present());
  if (check) {
    for (const need of missing) say(`setup: ${need.name}: missing: ${need.what}`);
    if (missing.length) throw new Failure("setup: run `npm run setup`.");
  }
  for (const need of missing) {
    // An earlier step may have brought it along.
    if (need.present()) continue;
    await provide(need).catch((error) => {
      if (!toServe || !need.onlyForTests || !(error instanceof Failure)) throw error;
      say(`${error.message} Only tests need it, so this goes on.`);
    });
  }
  say(missing.length ? "setup: complete" : "setup: nothing is missing");
}

await main(import.meta, (args) => {
  const names = args.filter((arg) => !["--check", "--to-serve"].includes(arg));
  return setup(names.length ? names : undefined, { check: args.includes("--check"), toServe: args.includes("--to-serve") });
});

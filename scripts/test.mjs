// Runs the tests.
//
//   node scripts/test.mjs               all steps, after setting up what is missing
//   node scripts/test.mjs clippy e2e    some steps by their names
//
// The first command that fails ends the run. The last line counts the tests of all runners.
import { readFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { build } from "./build.mjs";
import { cargoBin, duration, Failure, main, root, run, works } from "./lib.mjs";
import { setup } from "./setup.mjs";

const wasm = "--target wasm32-unknown-unknown";
const deny = "-- -D warnings";
const doc = "cargo doc --workspace --no-deps --document-private-items --lib";
process.env.RUSTDOCFLAGS = "-D warnings";

const chrome = "wasm-pack test --headless --chrome";
const firefox = "wasm-pack test --headless --firefox";
const relaxed = "--config .cargo/relaxed.toml";

/** Tests of crates in Chrome; wasm-pack runs cargo in the crate's folder. */
const inChrome = (flags = "") =>
  ["kernels --lib", "mobilenet --lib", "train --test training"].map((what) => `${chrome} crates/${what}${flags}`);

/** The commands of each step, or a function. */
const steps = {
  format: ["cargo fmt --all --check"],
  lint: ["npm run --silent lint"],
  unit: ["npm run --silent test:package"],
  clippy: [
    `cargo clippy --workspace --all-targets ${deny}`,
    `cargo clippy --workspace --exclude mobilenet-cli ${wasm} --lib --tests ${deny}`,
    `cargo clippy --package mobilenet-kernels ${wasm} --lib ${relaxed} ${deny}`,
  ],
  doc: [doc, `${doc} --exclude mobilenet-cli ${wasm}`],
  native: works("cargo-nextest")
    ? ["cargo nextest run --workspace", "cargo test --workspace --doc"]
    : ["cargo test --workspace"],
  // Of the whole workspace, so that the crates of the step before serve as they are.
  threads: ["cargo test --workspace --features mobilenet/threads --test threads"],
  package: ["cargo package --package mobilenet-kernels --allow-dirty"],
  crates: inChrome(),
  chrome: [`bare ${chrome}`],
  // Without the training of whole networks, which does not end within the driver's five minutes.
  firefox: [`${firefox} crates/kernels --lib`, `${firefox} crates/mobilenet --lib`, `${firefox} . --test class`],
  relaxed: [...inChrome(" --config ../../.cargo/relaxed.toml"), `${chrome} . --test class ${relaxed}`],
  build: [() => build()],
  // The name of a module's file is part of the module.
  "bare-build": ["bare wasm-pack build --target web --out-name mobilenet --out-dir target/bare", compareModules],
  types: ["npm run --silent test:types"],
  bundlers: ["npm run --silent test:bundlers"],
  "fuzz-class": ["npm run --silent fuzz:class"],
  e2e: ["npm run --silent test:e2e"],
};
const needPackage = ["bare-build", "types", "bundlers", "fuzz-class", "e2e"];

/** The README's command makes the module that is in the package. */
function compareModules() {
  const [made, packed] = ["target/bare", "pkg/simd128"].map((folder) => join(root, folder, "mobilenet_bg.wasm"));
  if (!readFileSync(made).equals(readFileSync(packed))) throw new Failure(`${made} differs from ${packed}`);
}

const counts = { passed: 0, failed: 0, skipped: 0 };

/** Adds the closing lines of the runners: cargo's and wasm-bindgen's, nextest's, Vitest's, node's, Playwright's. */
function count(printed) {
  const closing =
    /^(test result:| +Summary \[| +Tests {2}|ℹ (pass|fail|skipped) \d| +\d+ (passed|failed|skipped)\b).*$/gm;
  for (const [line] of stripVTControlCharacters(printed).matchAll(closing)) {
    const words = line.replace(/ℹ (\w+) (\d+)/, "$2 $1").replace("ignored", "skipped");
    for (const [, number, what] of words.matchAll(/(\d+) (pass|fail|skip)/g)) {
      counts[{ pass: "passed", fail: "failed", skip: "skipped" }[what]] += Number(number);
    }
  }
}

/** Runs a command; `bare` stands for a fresh shell with nothing in PATH but cargo's programs, Node and the system's. */
async function command(text) {
  const [program, ...args] = text.replace(/^bare /, "").split(" ");
  const bare = [cargoBin, dirname(process.execPath), "/usr/local/bin", "/usr/bin", "/bin"].join(delimiter);
  try {
    count(await run(program, args, { env: text.startsWith("bare ") ? { PATH: bare } : {} }));
  } catch (error) {
    count(error.printed ?? "");
    throw error;
  }
}

async function runStep(name) {
  if (name === "firefox") {
    if (!works("firefox") && !works("firefox-esr")) return "skipped: no Firefox here; see `npm run test:firefox`";
    await setup("firefox");
  }
  const started = Date.now();
  for (const part of steps[name]) await (typeof part === "string" ? command(part) : part());
  return duration(Date.now() - started);
}

await main(import.meta, async (asked) => {
  const names = Object.keys(steps);
  const unknown = asked.find((name) => !names.includes(name));
  if (unknown) throw new Failure(`test: steps are ${names.join(", ")}, got ${unknown}`);
  const needed = asked.some((name) => needPackage.includes(name)) ? [...asked, "build"] : asked;
  const report = {};
  const started = Date.now();
  await setup("start", "test");
  try {
    for (const name of names.filter((name) => !asked.length || needed.includes(name))) {
      console.log(`\n== ${name}`);
      report[name] = "FAILED";
      report[name] = await runStep(name);
    }
  } catch (error) {
    counts.failed ||= 1; // a command that counts nothing
    throw error;
  } finally {
    console.table({ ...report, "in all": duration(Date.now() - started) });
    console.log(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
  }
});

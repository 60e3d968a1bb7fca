// Runs the tests.
//
//   node scripts/test.mjs               all steps, after setting up what is missing
//   node scripts/test.mjs clippy e2e    some steps by their names
//   node scripts/test.mjs --list        the names
//
// The first step that fails ends the run. The last line counts the tests of all runners.
import { readdirSync, readFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { build } from "./build.mjs";
import { cargoBin, duration, Failure, local, main, root, run, works } from "./lib.mjs";
import { setup } from "./setup.mjs";

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

async function commandWith(env, program, ...args) {
  try {
    count(await run(program, args, { env }));
  } catch (error) {
    count(error.printed ?? "");
    throw error;
  }
}

const command = (program, ...args) => commandWith({}, program, ...args);

/** Runs a command as in a fresh shell, with nothing in PATH but cargo's programs, Node and the system's. */
const bare = (program, ...args) => {
  const folders = [cargoBin, dirname(process.execPath), "/usr/local/bin", "/usr/bin", "/bin"];
  return commandWith({ PATH: folders.join(delimiter) }, program, ...args);
};

const forBrowsers = ["--workspace", "--exclude", "mobilenet-cli", "--target", "wasm32-unknown-unknown"];
const relaxed = ["--config", join(root, ".cargo/relaxed.toml")];
const deny = ["--", "-D", "warnings"];
const headless = (browser) => ["test", "--headless", `--${browser}`];

/** The crates whose tests run in Chrome besides the class. */
async function cratesInChrome(...flags) {
  await command("wasm-pack", ...headless("chrome"), "crates/kernels", "--lib", ...flags);
  await command("wasm-pack", ...headless("chrome"), "crates/mobilenet", "--lib", ...flags);
  await command("wasm-pack", ...headless("chrome"), "crates/train", "--test", "training", ...flags);
}

/** Runs node's test runner, one file at a time: all start browsers or bundlers. */
function nodeTests(folder) {
  const files = readdirSync(join(root, folder)).filter((file) => file.endsWith(".test.mjs"));
  const options = ["--test", "--test-concurrency=1", "--test-reporter=spec"];
  return command("node", ...options, ...files.map((file) => join(folder, file)));
}

const steps = {
  format: () => command("cargo", "fmt", "--all", "--check"),
  biome: () => command(local("biome"), "ci"),
  clippy: () => command("cargo", "clippy", "--workspace", "--all-targets", ...deny),
  "clippy-wasm": async () => {
    await command("cargo", "clippy", ...forBrowsers, "--lib", "--tests", ...deny);
    await command("cargo", "clippy", ...forBrowsers, "--lib", ...relaxed, ...deny);
  },
  doc: async () => {
    const doc = ["doc", "--no-deps", "--document-private-items", "--lib"];
    for (const crates of [["--workspace"], forBrowsers]) {
      await commandWith({ RUSTDOCFLAGS: "-D warnings" }, "cargo", ...doc, ...crates);
    }
  },
  native: async () => {
    if (!works("cargo-nextest")) return command("cargo", "test", "--workspace");
    await command("cargo", "nextest", "run", "--workspace");
    await command("cargo", "test", "--workspace", "--doc");
  },
  threads: () => command("cargo", "test", "--workspace", "--features", "mobilenet/threads", "--test", "threads"),
  package: () => command("cargo", "package", "--package", "mobilenet-kernels", "--allow-dirty"),
  crates: () => cratesInChrome(),
  chrome: () => bare("wasm-pack", ...headless("chrome")),
  firefox: async () => {
    if (!works("firefox") && !works("firefox-esr")) return "no Firefox is installed; see `npm run test:firefox`";
    await setup("firefox");
    // Not the training of whole networks, which does not end within the driver's five minutes.
    await command("wasm-pack", ...headless("firefox"), ".", "--test", "class");
    await command("wasm-pack", ...headless("firefox"), "crates/mobilenet", "--lib");
    await command("wasm-pack", ...headless("firefox"), "crates/kernels", "--lib");
  },
  relaxed: async () => {
    await command("wasm-pack", ...headless("chrome"), ".", "--test", "class", ...relaxed);
    await cratesInChrome(...relaxed);
  },
  build: () => build(),
  // The README's command makes the module that is in the package. The name of its file is part of a module.
  "bare-build": async () => {
    const out = join(root, "target/bare");
    await bare("wasm-pack", "build", "--target", "web", "--out-name", "mobilenet", "--out-dir", out);
    const [made, packed] = [out, join(root, "pkg/simd128")].map((folder) => join(folder, "mobilenet_bg.wasm"));
    if (!readFileSync(made).equals(readFileSync(packed))) throw new Failure(`${made} differs from ${packed}`);
  },
  unit: () => command(local("vitest"), "run"),
  types: () => nodeTests("tests/types"),
  bundlers: () => nodeTests("tests/bundlers"),
  e2e: () => command(local("playwright"), "test"),
};
const needPackage = ["bare-build", "types", "bundlers", "e2e"];

async function runSteps(names, report) {
  await setup("start", "test");
  for (const name of names) {
    console.log(`\n== ${name}`);
    const started = Date.now();
    report[name] = "FAILED";
    const reason = await steps[name]();
    report[name] = reason ? `skipped: ${reason}` : duration(Date.now() - started);
  }
}

await main(import.meta, async (asked) => {
  const names = Object.keys(steps);
  if (asked.includes("--list")) return console.log(names.join("\n"));
  const unknown = asked.find((name) => !names.includes(name));
  if (unknown) throw new Failure(`test: steps are ${names.join(", ")}, got ${unknown}`);
  const needed = asked.some((name) => needPackage.includes(name)) ? [...asked, "build"] : asked;
  const started = Date.now();
  const report = {};
  try {
    await runSteps(needed.length ? names.filter((name) => needed.includes(name)) : names, report);
  } catch (error) {
    counts.failed ||= 1; // a step that counts nothing
    throw error;
  } finally {
    console.log();
    console.table({ ...report, "in all": duration(Date.now() - started) });
    console.log(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
  }
});

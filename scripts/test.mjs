// Runs every test, in the order in which a failure says most for the least waiting.
//
//   node scripts/test.mjs               everything, after setting up what is missing
//   node scripts/test.mjs page types    some steps by their names (builds what they need first)
//   node scripts/test.mjs --list        the names
//
// Each step prints its command and how long it took; the first that fails ends the run and says what
// to type to run it alone. The last line counts tests: "N passed, N failed, N skipped".
import { existsSync, readdirSync } from "node:fs";
import { join, relative } from "node:path";
import { build, checkSizes } from "./build.mjs";
import { commandLine, duration, Failure, main, root, run, say } from "./lib/shell.mjs";
import { chromeDriver, firefox, geckoDriver, toolEnvironment } from "./lib/tools.mjs";
import { builds, variants } from "./lib/variants.mjs";
import { installNpmPackages, setup } from "./setup.mjs";

const wasm = ["--target", "wasm32-unknown-unknown"];
const deny = ["--", "-D", "warnings"];
// Checks and debug builds of other flags live side by side in the ordinary target folder.
const relaxedFlags = { RUSTFLAGS: variants.find(({ name }) => name === "relaxed").codeFlags.join(" ") };

const counts = { passed: 0, failed: 0, skipped: 0 };

/** Adds up the closing lines of cargo's, wasm-bindgen's and node's test runners. */
function count(printed) {
  const plain = printed.replace(/\x1b\[[0-9;]*m/g, "");
  const add = (field, pattern) => {
    for (const match of plain.matchAll(pattern)) counts[field] += Number(match[1]);
  };
  add("passed", /^test result: .*?(\d+) passed;/gm);
  add("failed", /^test result: .*?(\d+) failed;/gm);
  add("skipped", /^test result: .*?(\d+) ignored;/gm);
  add("passed", /^(?:#|ℹ) pass (\d+)$/gm);
  add("failed", /^(?:#|ℹ) fail (\d+)$/gm);
  add("skipped", /^(?:#|ℹ) (?:skipped|todo) (\d+)$/gm);
}

/** Runs a command whose output may end with a test runner's count. */
async function tests(program, args, options) {
  say(`$ ${commandLine(program, args, options?.env)}`);
  try {
    count(await run(program, args, { ...options, capture: true }));
  } catch (failure) {
    count(failure.printed ?? "");
    throw failure;
  }
}

async function command(program, args, options) {
  say(`$ ${commandLine(program, args, options?.env)}`);
  await run(program, args, options);
}

/** The files of a folder (and below it) whose names end so, without what npm installed. */
function filesBelow(folder, ending) {
  const full = join(root, folder);
  if (!existsSync(full)) return [];
  return readdirSync(full, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === "node_modules" ? [] : filesBelow(path, ending);
    return entry.name.endsWith(ending) ? [path] : [];
  });
}

/** Runs the Node tests of one folder, after installing the packages of that folder's own package-lock.json. */
async function nodeTests(folder) {
  if (existsSync(join(root, folder, "package-lock.json"))) await installNpmPackages(join(root, folder));
  const files = filesBelow(folder, ".test.mjs");
  // One file at a time: each starts browsers or bundlers of its own, and some measure time.
  await tests("node", ["--test", "--test-concurrency=1", "--test-reporter=spec", ...files], { env: toolEnvironment() });
}

const withoutLoader = () => (existsSync(join(root, "pkg", "index.js")) ? null : "pkg/index.js is not there");

/** A step for each folder below tests/ that holds Node tests. */
function nodeSteps() {
  const folders = existsSync(join(root, "tests")) ? readdirSync(join(root, "tests"), { withFileTypes: true }) : [];
  return folders
    .filter((entry) => entry.isDirectory() && filesBelow(join("tests", entry.name), ".test.mjs").length > 0)
    .map(({ name }) => ({ name, what: `tests/${name}, with node's test runner`, needsBuild: true, skip: withoutLoader, run: () => nodeTests(join("tests", name)) }));
}

function wasmPackTest(browser, flags = {}, targets = []) {
  const driver = browser === "chrome" ? chromeDriver() : geckoDriver();
  const args = ["test", "--headless", `--${browser}`, ...(driver ? [`--${browser === "chrome" ? "chromedriver" : "geckodriver"}`, driver] : []), ...targets];
  return tests("wasm-pack", args, { env: { ...toolEnvironment(), ...flags } });
}

const steps = [
  { name: "format", what: "rustfmt", run: () => command("cargo", ["fmt", "--all", "--check"]) },
  { name: "clippy", what: "clippy, native", run: () => command("cargo", ["clippy", "--workspace", "--all-targets", ...deny]) },
  { name: "clippy-wasm", what: "clippy, simd128", run: () => command("cargo", ["clippy", "--lib", "--tests", ...wasm, ...deny]) },
  {
    name: "clippy-floats",
    what: "clippy, the class in floats alone",
    run: () => command("cargo", ["clippy", "--lib", ...wasm, "--no-default-features", "--features", "class", ...deny]),
  },
  {
    name: "clippy-relaxed",
    what: "clippy, relaxed SIMD",
    run: () => command("cargo", ["clippy", "--lib", ...wasm, ...deny], { env: relaxedFlags }),
  },
  {
    name: "doc",
    what: "rustdoc without warnings",
    // Not of mobilenet-kernels: it is files of src/ once more, whose changes cargo doc does not see from there.
    run: () => command("cargo", ["doc", "--workspace", "--exclude", "mobilenet-kernels", "--no-deps", "--lib", "--document-private-items"], { env: { RUSTDOCFLAGS: "-D warnings" } }),
  },
  { name: "native", what: "cargo test", run: () => tests("cargo", ["test", "--workspace"]) },
  // Of the whole workspace, so that the crates of the step before serve as they are.
  { name: "threads", what: "cargo test, several threads", run: () => tests("cargo", ["test", "--workspace", "--features", "threads", "--test", "threads"]) },
  { name: "chrome", what: "the class in Chrome", run: () => wasmPackTest("chrome") },
  {
    name: "firefox",
    what: "the class in Firefox",
    skip: () => (firefox() ? null : "no Firefox here; `npm run test:firefox` installs one"),
    run: async () => {
      await setup(["geckodriver"]);
      // Not tests/training.rs: under its driver Firefox took 91 s for the library's tests, for which Chrome takes 1.2, and
      // training a network does not end within the driver's five minutes.
      await wasmPackTest("firefox", {}, ["--lib", "--test", "class"]);
    },
  },
  // After Firefox, which runs what was compiled for Chrome: other flags compile it again.
  {
    name: "chrome-relaxed",
    what: "the class in Chrome with relaxed SIMD",
    run: () => wasmPackTest("chrome", relaxedFlags, ["--lib", "--test", "class", "--test", "training"]),
  },
  { name: "build", what: "every variant of the package", run: () => build(builds.map(({ name }) => name)) },
  { name: "size", what: "sizes within their limits", needsBuild: true, run: checkSizes },
  ...nodeSteps(),
];

const report = [];

async function runStep(step) {
  const reason = step.skip?.();
  if (reason) {
    say(`\n== ${step.name}: ${step.what}: skipped: ${reason}`);
    report.push({ step, outcome: `skipped: ${reason}` });
    return;
  }
  say(`\n== ${step.name}: ${step.what}`);
  const started = Date.now();
  try {
    await step.run();
    report.push({ step, outcome: duration(Date.now() - started) });
    say(`== ${step.name}: passed in ${duration(Date.now() - started)}`);
  } catch (error) {
    // A step that counts no tests of its own, or died before its count, is one failure.
    if (counts.failed === 0) counts.failed = 1;
    report.push({ step, outcome: `FAILED after ${duration(Date.now() - started)}` });
    const sentence = error instanceof Failure ? error.message : error.stack;
    throw new Failure(`test: step ${step.name} failed: ${sentence}\nRun it alone with: node scripts/test.mjs ${step.name}`);
  }
}

function summary(started) {
  say("\nSummary");
  const width = Math.max(...report.map(({ step }) => step.name.length), 0);
  for (const { step, outcome } of report) say(`  ${step.name.padEnd(width)}  ${outcome}`);
  say(`  ${"in all".padEnd(width)}  ${duration(Date.now() - started)}`);
  say(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
}

await main(import.meta, async (names) => {
  if (names.includes("--list")) return steps.forEach(({ name, what }) => say(`${name.padEnd(16)}${what}`));
  const unknown = names.filter((name) => !steps.some((step) => step.name === name));
  if (unknown.length) throw new Failure(`test: no step is called ${unknown.join(", ")}; there are ${steps.map(({ name }) => name).join(", ")}.`);
  const chosen = names.length ? steps.filter(({ name }) => names.includes(name)) : steps;
  const started = Date.now();
  await setup();
  if (chosen.some(({ needsBuild }) => needsBuild) && !chosen.some(({ name }) => name === "build")) await build();
  try {
    for (const step of chosen) await runStep(step);
  } finally {
    summary(started);
  }
});

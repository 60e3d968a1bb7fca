// Where the tools of this project are found: probes only, nothing here changes the machine.
// setup.mjs installs what a probe misses; build.mjs, test.mjs and the browser tests use the answers.
import { existsSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { ask, root, which } from "./shell.mjs";

/** The environment for commands that need the programs npm installed here (wasm-opt, tsc). */
export function toolEnvironment() {
  const path = process.env.PATH ?? "";
  const bin = join(root, "node_modules", ".bin");
  return { PATH: path.split(delimiter)[0] === bin ? path : `${bin}${delimiter}${path}` };
}

function firstProgram(setting, names, places = []) {
  const named = process.env[setting];
  if (named) return existsSync(named) ? named : which(named);
  for (const name of names) {
    const found = which(name);
    if (found) return found;
  }
  return places.find((place) => existsSync(place)) ?? null;
}

/** The browser that runs the tests: `CHROME`, else the first of Chrome and Chromium on the machine, or null. */
export function chrome() {
  return firstProgram(
    "CHROME",
    ["google-chrome", "google-chrome-stable", "chromium", "chromium-browser", "chrome"],
    [
      "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
      "/Applications/Chromium.app/Contents/MacOS/Chromium",
      "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe",
    ],
  );
}

/** ChromeDriver: `CHROMEDRIVER`, else from PATH, or null (wasm-pack then fetches one for the user's Chrome). */
export function chromeDriver() {
  return firstProgram("CHROMEDRIVER", ["chromedriver"]);
}

/** Firefox: `FIREFOX`, else from PATH, or null. */
export function firefox() {
  return firstProgram("FIREFOX", ["firefox", "firefox-esr"], ["/Applications/Firefox.app/Contents/MacOS/firefox"]);
}

/** geckodriver: `GECKODRIVER`, else from PATH, or null. */
export function geckoDriver() {
  return firstProgram("GECKODRIVER", ["geckodriver"]);
}

/** What Playwright is started with in this project's tests and benchmarks: the installed browser, no calls home. */
export function chromeLaunchOptions(extraArgs = []) {
  const executablePath = chrome();
  if (!executablePath) throw new Error("No Chrome or Chromium found: run `npm run setup`, or set CHROME to its path.");
  const asRoot = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  return {
    executablePath,
    headless: true,
    args: ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run", ...asRoot, ...extraArgs],
  };
}

/** The version of a package in Cargo.lock, or null. */
export function lockedVersion(name) {
  const lock = join(root, "Cargo.lock");
  if (!existsSync(lock)) return null;
  const found = readFileSync(lock, "utf8").match(new RegExp(`name = "${name}"\\nversion = "([^"]+)"`));
  return found ? found[1] : null;
}

/** The folder of the Rust toolchain in use. */
export function sysroot() {
  return ask("rustc", ["--print", "sysroot"]);
}

/** The version of the Rust compiler in use: "1.95.0". */
export function rustVersion() {
  return ask("rustc", ["--version"])?.split(" ")[1] ?? null;
}

/** Whether the compiler in use can compile for the browser: it is asked to. */
export function hasWasmStd() {
  const args = ["--target", "wasm32-unknown-unknown", "--crate-type", "lib", "--crate-name", "probe", "--emit", "metadata=-", "-"];
  return ask("rustc", args, { input: "pub fn f() -> Vec<u8> { Vec::new() }" }) !== null;
}

/** The version that `program --version` prints second ("wasm-pack 0.15.1"), or null. */
export function programVersion(program) {
  return ask(program, ["--version"])?.split(/\s+/)[1] ?? null;
}

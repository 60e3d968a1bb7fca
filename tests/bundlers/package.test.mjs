// The package as its users get it: packed, installed into an empty folder, and used by Vite, webpack, a plain page
// under a strict Content-Security-Policy, a Web Worker and Node. Each loads a small network and names a green picture.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { chromium } from "playwright-core";
import { build as viteBuild } from "vite";
import webpack from "webpack";
import { root } from "../../scripts/lib/shell.mjs";
import { chromeLaunchOptions } from "../../scripts/lib/tools.mjs";
import { serve } from "../../scripts/serve.mjs";
import { colourNetwork } from "../networks/colours.mjs";

const app = mkdtempSync(join(tmpdir(), "mobilenet-app-"));
let browser;

/** What a user would write: the same text goes through every bundler, and as it is into a page and a worker. */
const program = `
export async function answers(load, weights, choices) {
  const green = { data: new Uint8ClampedArray(48 * 32 * 4).map((_, i) => [20, 190, 40, 255][i % 4]), width: 48, height: 32 };
  const found = [];
  for (const choice of choices) {
    const net = await load({ weights, ...choice });
    const [{ className }] = await net.classify(green, 1);
    found.push(net.variant + ": " + className);
    net.dispose();
  }
  return found;
}
`;
const page = `
import { load, supportedVariants } from "mobilenet-wasm";
import { answers } from "./program.js";
window.supported = supportedVariants();
window.run = (choices) => answers(load, new URL("network.safetensors", location.href).href, choices);
`;
const html = (script) => `<!doctype html><meta charset="utf-8"><title>app</title><link rel="icon" href="data:,"><script type="module" src="${script}"></script>`;

const write = (name, text) => {
  const path = join(app, name);
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, text);
};

before(async () => {
  const npm = (args, cwd) => execFileSync("npm", [...args, "--no-audit", "--no-fund"], { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  write("package.json", JSON.stringify({ name: "app", private: true, type: "module" }));
  const archive = npm(["pack", "--silent", "--pack-destination", app], join(root, "pkg")).trim().split("\n").pop();
  npm(["install", "--offline", join(app, archive)], app);
  write("public/network.safetensors", colourNetwork());
  write("program.js", program);
  write("main.js", page);
  write("index.html", html("./main.js"));
  browser = await chromium.launch(chromeLaunchOptions());
});

after(async () => {
  await browser?.close();
  rmSync(app, { recursive: true, force: true });
});

/** Opens a folder as a site and hands the page over; any word in the console is a failure. */
async function withPage({ folder, isolated = true, headers = {}, path = "" }, use) {
  const server = await serve({ port: 0, isolated, headers, mounts: { "/": folder } });
  const context = await browser.newContext();
  const page = await context.newPage();
  const said = [];
  page.on("console", (message) => said.push(message.text()));
  page.on("pageerror", (error) => said.push(`uncaught: ${error.message}`));
  page.on("requestfailed", (request) => said.push(`failed: ${request.url()}`));
  const hosts = new Set();
  page.on("request", (request) => hosts.add(new URL(request.url()).host));
  try {
    await page.goto(server.url + path);
    await page.waitForFunction(() => typeof window.run === "function");
    await use(page);
    assert.deepEqual(said, [], "nothing is said in the console");
    hosts.delete("");
    assert.deepEqual([...hosts], [new URL(server.url).host], "no other host is asked");
  } finally {
    await context.close();
    await server.close();
  }
}

const isolatedChoices = [{}, { variant: "simd128" }, { variant: "relaxed" }, { worker: true }];

/** Every build that an isolated page supports, in this thread and in the package's worker; then a page that is not isolated. */
async function classifiesEverywhere(folder) {
  await withPage({ folder }, async (page) => {
    const supported = await page.evaluate(() => window.supported);
    assert.ok(supported.includes("relaxed") && supported.includes("simd128"), `${supported}`);
    const choices = supported.includes("threads") ? [...isolatedChoices, { numThreads: 2 }, { numThreads: 2, worker: true }] : isolatedChoices;
    const expected = ["relaxed", "simd128", "relaxed", "relaxed", "threads", "threads"].slice(0, choices.length);
    const found = await page.evaluate((choices) => window.run(choices), choices);
    assert.deepEqual(found, expected.map((variant) => `${variant}: green thing`));
  });
  await withPage({ folder, isolated: false }, async (page) => {
    assert.deepEqual(await page.evaluate(() => window.run([{}, { numThreads: 2 }])), ["relaxed: green thing", "relaxed: green thing"]);
  });
}

test("the archive holds what the loader needs and nothing else", () => {
  const installed = join(app, "node_modules", "mobilenet-wasm");
  const { exports, dependencies, sideEffects, type } = JSON.parse(readFileSync(join(installed, "package.json"), "utf8"));
  assert.equal(dependencies, undefined);
  assert.equal(sideEffects, false);
  assert.equal(type, "module");
  assert.equal(Object.keys(exports["."])[0], "types", "TypeScript reads the first condition that fits");
  const files = readdirSync(installed, { recursive: true });
  for (const wanted of ["index.js", "index.d.ts", "worker.js", "README.md", "simd128/mobilenet_bg.wasm", "relaxed/mobilenet.js"]) {
    assert.ok(files.includes(wanted), `${wanted} is missing`);
  }
  assert.deepEqual(files.filter((file) => file.endsWith(".gitignore") || /^mobilenet/.test(file)), []);
});

describe("Vite", () => {
  test("builds the app without warnings, and it classifies", { timeout: 300_000 }, async () => {
    const warnings = [];
    const logger = { warn: (text) => warnings.push(text), warnOnce: (text) => warnings.push(text), error: (text) => warnings.push(text), info() {}, clearScreen() {}, hasErrorLogged: () => false, hasWarned: false };
    await viteBuild({ root: app, configFile: false, customLogger: logger, worker: { format: "es" }, build: { outDir: "dist-vite", target: "esnext" } });
    assert.deepEqual(warnings, []);
    await classifiesEverywhere(join(app, "dist-vite"));
  });
});

describe("webpack", () => {
  test("builds the app without warnings, and it classifies", { timeout: 300_000 }, async () => {
    const out = join(app, "dist-webpack");
    const stats = await new Promise((resolve, reject) =>
      webpack({ mode: "production", context: app, entry: "./main.js", output: { path: out, module: true }, experiments: { outputModule: true }, performance: false }, (error, stats) => (error ? reject(error) : resolve(stats))),
    );
    const { errors, warnings } = stats.toJson({ all: false, errors: true, warnings: true });
    assert.deepEqual([...errors, ...warnings].map(({ message }) => message), []);
    write("dist-webpack/index.html", html("./main.js"));
    write("dist-webpack/network.safetensors", colourNetwork());
    await classifiesEverywhere(out);
  });
});

describe("without a bundler", () => {
  const strict = { "Content-Security-Policy": "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; img-src data:" };
  const site = join(app, "site");
  before(() => {
    const installed = "./node_modules/mobilenet-wasm/index.js";
    write("site/network.safetensors", colourNetwork());
    write("site/program.js", program);
    write("site/main.js", page.replace('"mobilenet-wasm"', JSON.stringify(installed)));
    write("site/index.html", html("./main.js"));
    write("site/own-worker.js", `import { load } from "${installed}";
import { answers } from "./program.js";
onmessage = ({ data }) => answers(load, new URL("network.safetensors", location.href).href, data).then(postMessage, (error) => postMessage(String(error)));
`);
    write("site/in-worker.js", `window.run = (choices) => new Promise((resolve, reject) => {
  const worker = new Worker("./own-worker.js", { type: "module" });
  worker.onmessage = ({ data }) => resolve(data);
  worker.onerror = (event) => reject(new Error(event.message));
  worker.postMessage(choices);
});
`);
    write("site/in-worker.html", html("./in-worker.js"));
    write("site/import.js", `import * as everything from "${installed}";
window.globals = Object.getOwnPropertyNames(window).length;
window.run = () => Object.keys(everything);
`);
    write("site/import.html", html("./import.js"));
    cpSync(join(app, "node_modules"), join(site, "node_modules"), { recursive: true });
  });

  test("a plain page classifies", { timeout: 120_000 }, () => classifiesEverywhere(site));

  test("a Content-Security-Policy of 'self' and 'wasm-unsafe-eval' suffices", { timeout: 120_000 }, () =>
    withPage({ folder: site, headers: strict }, async (page) => {
      assert.deepEqual(await page.evaluate(() => window.run([{}, { worker: true }])), ["relaxed: green thing", "relaxed: green thing"]);
      if (await page.evaluate(() => window.supported.includes("threads"))) {
        assert.deepEqual(await page.evaluate(() => window.run([{ numThreads: 2 }])), ["threads: green thing"]);
      }
    }));

  test("a worker of the user's own classifies", { timeout: 120_000 }, () =>
    withPage({ folder: site, path: "in-worker.html" }, async (page) => {
      assert.deepEqual(await page.evaluate(() => window.run([{}, { variant: "simd128" }])), ["relaxed: green thing", "simd128: green thing"]);
    }));

  test("the import fetches no wasm and starts nothing", () =>
    withPage({ folder: site, path: "import.html" }, async (page) => {
      assert.ok((await page.evaluate(() => window.run())).includes("load"));
      const fetched = await page.evaluate(() => performance.getEntriesByType("resource").map(({ name }) => name));
      assert.deepEqual(fetched.filter((name) => /wasm$|worker|simd128\/|relaxed\/|threads\//.test(name)), []);
      assert.equal(page.workers().length, 0);
    }));
});

describe("Node", () => {
  test("classifies a file's network", () => {
    write("node.js", `import { readFile } from "node:fs/promises";
import { load, supportedVariants } from "mobilenet-wasm";
import { answers } from "./program.js";
const address = new URL("./public/network.safetensors", import.meta.url);
const found = await answers(load, address, [{}, { variant: "simd128" }]);
found.push(...(await answers(load, await readFile(address), [{}])));
console.log(JSON.stringify({ supported: supportedVariants(), found }));
`);
    const printed = execFileSync(process.execPath, ["node.js"], { cwd: app, encoding: "utf8" });
    // Node 20 knows no relaxed SIMD yet; later ones do.
    const { supported, found } = JSON.parse(printed);
    assert.ok(supported.includes("simd128"));
    assert.deepEqual(found, [`${supported[0]}: green thing`, "simd128: green thing", `${supported[0]}: green thing`]);
  });
});

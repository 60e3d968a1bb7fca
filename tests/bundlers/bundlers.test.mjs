// `npm install` of the package into an empty Vite app and an empty webpack app, each built and opened in Chromium.
//
// The app is the few lines of the README: no setting of either bundler may be needed for the package's wasm, its worker
// or its threads.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { chromium } from "playwright-core";
import { chromeLaunchOptions } from "../../scripts/lib/tools.mjs";
import { serve } from "../../scripts/serve.mjs";
import { frame, networkFile } from "./network.mjs";

const pkg = fileURLToPath(new URL("../../pkg/", import.meta.url));
const built = ["simd128", "relaxed", "threads"].filter((name) => existsSync(join(pkg, name, "mobilenet_bg.wasm")));
const skip = built.length < 3 && "pkg/ is not built whole: npm run build";

const page = '<!doctype html><title>app</title><link rel="icon" href="data:,"><script type="module" src="MAIN"></script>';
// Each query asks for one way to run: ?variant=threads&numThreads=2&worker=1, and shipped=1 for the package's own network
const main = `
import { load } from "mobilenet-wasm";
const { variant, numThreads = 1, worker, shipped } = Object.fromEntries(new URLSearchParams(location.search));
const options = { numThreads: Number(numThreads), worker: Boolean(worker) };
if (!shipped) options.weights = new URL("/net.safetensors", location.href);
if (variant) options.variant = variant;
try {
  const net = await load(options);
  const size = ${JSON.stringify({ width: frame().width, height: frame().height })};
  const data = Uint8Array.from(atob("${Buffer.from(frame().data).toString("base64")}"), (c) => c.charCodeAt(0));
  globalThis.answer = { found: await net.classify({ data, ...size }, 3), variant: net.variant, numThreads: net.numThreads };
} catch (error) {
  globalThis.answer = { error: String(error) };
}
`;

/** An empty app with the package installed as a user gets it: packed, and unpacked by npm. */
function app(entry) {
  const folder = mkdtempSync(join(tmpdir(), "mobilenet-app-"));
  const quiet = { cwd: folder, stdio: ["ignore", "pipe", "inherit"] };
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "app", private: true, type: "module" }));
  const [packed] = JSON.parse(execFileSync("npm", ["pack", "--json", "--ignore-scripts", pkg], quiet));
  execFileSync("npm", ["install", "--offline", "--no-audit", "--no-fund", `./${packed.filename}`], quiet);
  mkdirSync(join(folder, "public"));
  mkdirSync(join(folder, "src"));
  writeFileSync(join(folder, "public", "net.safetensors"), networkFile());
  writeFileSync(join(folder, "src", "main.js"), main);
  writeFileSync(join(folder, entry), page.replace("MAIN", entry === "index.html" ? "/src/main.js" : "/main.js"));
  return { folder, files: packed.files.map(({ path }) => path) };
}

/** Opens the app in every way it can run; every build must give the answer that Node gave. */
function suite(start) {
  let running, browser;
  const noise = [];
  before(async () => {
    running = await start();
    browser = await chromium.launch(chromeLaunchOptions());
  });
  after(async () => {
    await browser?.close();
    await running?.close();
    if (running) rmSync(running.folder, { recursive: true });
  });
  for (const query of ["", "variant=simd128", "variant=relaxed&worker=1", "variant=threads&numThreads=2", "numThreads=2&worker=1", "shipped=1", "shipped=1&worker=1"]) {
    test(query || "as the loader chooses", async () => {
      const tab = await browser.newPage();
      tab.on("console", (message) => /warning|error/.test(message.type()) && noise.push(message.text()));
      tab.on("pageerror", (error) => noise.push(error.message));
      await tab.goto(`${running.url}?${query}`);
      const answer = await tab.waitForFunction(() => globalThis.answer, null, { timeout: 60_000 }).then((handle) => handle.jsonValue());
      await tab.close();
      assert.equal(answer.error, undefined, noise.join("\n"));
      const wanted = Object.fromEntries(new URLSearchParams(query));
      assert.equal(answer.variant, wanted.variant ?? (wanted.numThreads ? "threads" : "relaxed"));
      assert.equal(answer.numThreads, Number(wanted.numThreads ?? 1));
      const expected = await reference(wanted.shipped);
      assert.deepEqual(answer.found.map(({ className }) => className), expected.map(({ className }) => className));
      answer.found.forEach(({ probability }, index) => assert.ok(Math.abs(probability - expected[index].probability) < 1e-4));
    });
  }
  test("nothing is written to the console", () => assert.deepEqual(noise, []));
}

async function reference(shipped) {
  const { load } = await import(pathToFileURL(join(pkg, "index.js")));
  const net = await load({ ...(shipped ? {} : { weights: networkFile() }), variant: "simd128" });
  return net.classify(frame(), 3);
}

const isolated = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

describe("Vite, built for production", { skip }, () =>
  suite(async () => {
    const vite = await import("vite");
    const { folder } = app("index.html");
    await vite.build({ root: folder, logLevel: "error", build: { target: "esnext" } });
    return { folder, ...(await serve({ port: 0, mounts: { "/": join(folder, "dist") } })) };
  }),
);

describe("Vite's development server", { skip }, () =>
  suite(async () => {
    const vite = await import("vite");
    const { folder } = app("index.html");
    const server = await vite.createServer({ root: folder, logLevel: "error", server: { port: 0, host: "127.0.0.1", headers: isolated } });
    await server.listen();
    return { folder, url: `http://127.0.0.1:${server.httpServer.address().port}/`, close: () => server.close() };
  }),
);

describe("webpack", { skip }, () =>
  suite(async () => {
    const { default: webpack } = await import("webpack");
    const { folder } = app("public/index.html");
    const output = { path: join(folder, "public"), filename: "main.js", publicPath: "/" };
    const settings = { mode: "production", context: folder, entry: "./src/main.js", output, performance: { hints: false } };
    const stats = await new Promise((resolve, reject) => webpack(settings, (error, done) => (error ? reject(error) : resolve(done))));
    assert.deepEqual(stats.toJson({ all: false, errors: true, warnings: true }).errors, []);
    assert.deepEqual(stats.toJson({ all: false, errors: true, warnings: true }).warnings, []);
    return { folder, ...(await serve({ port: 0, mounts: { "/": join(folder, "public") } })) };
  }),
);

test("the packed package holds what it needs, and nothing else", { skip }, () => {
  const { folder, files } = app("index.html");
  rmSync(folder, { recursive: true });
  for (const file of ["index.js", "index.d.ts", "README.md", "LICENSE", "simd128/mobilenet_bg.wasm", "relaxed/mobilenet.js", "threads/mobilenet.d.ts"]) {
    assert.ok(files.includes(file), `${file} is missing`);
  }
  assert.deepEqual(files.filter((file) => /node_modules|\.test\.|\.rs$|sha256|\.gitignore/.test(file)), []);
});

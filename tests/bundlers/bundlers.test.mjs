// `npm install` of the package into a Vite app and a webpack app, each built and opened in Chromium.
//
// The apps (vite/, webpack/) set nothing for the package: neither bundler may need a setting for its wasm, its worker or
// its threads.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { chromium } from "@playwright/test";
import * as vite from "vite";
import { headers } from "../../vite.config.js";
import { launchOptions } from "../browser.js";
import { frame, networkFile } from "./network.mjs";

const pkg = fileURLToPath(new URL("../../pkg/", import.meta.url));
const built = ["simd128", "relaxed", "threads"].filter((name) => existsSync(join(pkg, name, "mobilenet_bg.wasm")));
const skip = built.length < 3 && "pkg/ is not built whole: npm run build";

/** A copy of the app with the package installed as a user gets it: packed, and unpacked by npm. */
function install(name) {
  const folder = mkdtempSync(join(tmpdir(), "mobilenet-app-"));
  cpSync(fileURLToPath(new URL(name, import.meta.url)), folder, { recursive: true });
  const quiet = { cwd: folder, stdio: ["ignore", "pipe", "inherit"] };
  const [packed] = JSON.parse(execFileSync("npm", ["pack", "--json", "--ignore-scripts", pkg], quiet));
  execFileSync("npm", ["install", "--offline", "--no-audit", "--no-fund", `./${packed.filename}`], quiet);
  mkdirSync(join(folder, "public"), { recursive: true });
  writeFileSync(join(folder, "public", "net.safetensors"), networkFile());
  writeFileSync(join(folder, "public", "frame.rgba"), frame().data);
  return { folder, files: packed.files.map(({ path }) => path) };
}

/** Serves a folder as a host does, with the headers that shared memory needs. */
async function host(folder) {
  const server = await vite.preview({
    configFile: false,
    root: folder,
    logLevel: "error",
    build: { outDir: "." },
    preview: { host: "127.0.0.1", port: 0, headers },
  });
  return { url: server.resolvedUrls.local[0], close: () => server.close() };
}

/** Opens the app in every way it can run; every build must give the answer that Node gave. */
function suite(start) {
  let running, browser;
  const noise = [];
  before(async () => {
    running = await start();
    browser = await chromium.launch(launchOptions());
  });
  after(async () => {
    await browser?.close();
    await running?.close();
    if (running) rmSync(running.folder, { recursive: true });
  });
  for (const query of [
    "",
    "variant=simd128",
    "variant=relaxed&worker=1",
    "variant=threads&numThreads=2",
    "numThreads=2&worker=1",
    "shipped=1",
    "shipped=1&worker=1",
  ]) {
    test(query || "as the loader chooses", async () => {
      const tab = await browser.newPage();
      tab.on("console", (message) => /warning|error/.test(message.type()) && noise.push(message.text()));
      tab.on("pageerror", (error) => noise.push(error.message));
      await tab.goto(`${running.url}?${query}`);
      const handle = await tab.waitForFunction(() => globalThis.answer, null, { timeout: 60_000 });
      const answer = await handle.jsonValue();
      await tab.close();
      assert.equal(answer.error, undefined, noise.join("\n"));
      const wanted = Object.fromEntries(new URLSearchParams(query));
      assert.equal(answer.variant, wanted.variant ?? (wanted.numThreads ? "threads" : "relaxed"));
      assert.equal(answer.numThreads, Number(wanted.numThreads ?? 1));
      const expected = await reference(wanted.shipped);
      const names = (predictions) => predictions.map(({ className }) => className);
      assert.deepEqual(names(answer.found), names(expected));
      answer.found.forEach(({ probability }, index) => {
        assert.ok(Math.abs(probability - expected[index].probability) < 1e-4);
      });
    });
  }
  test("nothing is written to the console", () => assert.deepEqual(noise, []));
}

async function reference(shipped) {
  const { load } = await import(pathToFileURL(join(pkg, "index.js")));
  const net = await load({ ...(shipped ? {} : { weights: networkFile() }), variant: "simd128" });
  return net.classify(frame(), 3);
}

describe("Vite, built for production", { skip }, () =>
  suite(async () => {
    const { folder } = install("vite");
    await vite.build({ root: folder, logLevel: "error", build: { target: "esnext" } });
    return { folder, ...(await host(join(folder, "dist"))) };
  }),
);

describe("Vite's development server", { skip }, () =>
  suite(async () => {
    const { folder } = install("vite");
    const options = { port: 0, host: "127.0.0.1", headers };
    const server = await vite.createServer({ root: folder, logLevel: "error", server: options });
    await server.listen();
    return { folder, url: server.resolvedUrls.local[0], close: () => server.close() };
  }),
);

describe("webpack", { skip }, () =>
  suite(async () => {
    const { default: webpack } = await import("webpack");
    const { folder } = install("webpack");
    const { default: settings } = await import(pathToFileURL(join(folder, "webpack.config.js")));
    const stats = await new Promise((resolve, reject) =>
      webpack(settings, (error, done) => (error ? reject(error) : resolve(done))),
    );
    const { errors, warnings } = stats.toJson({ all: false, errors: true, warnings: true });
    assert.deepEqual(errors, []);
    assert.deepEqual(warnings, []);
    return { folder, ...(await host(join(folder, "public"))) };
  }),
);

test("the packed package holds what it needs, and nothing else", { skip }, () => {
  const { folder, files } = install("vite");
  rmSync(folder, { recursive: true });
  const texts = ["index.js", "index.d.ts", "README.md", "LICENSE"];
  const builds = ["simd128/mobilenet_bg.wasm", "relaxed/mobilenet.js", "threads/mobilenet.d.ts"];
  for (const file of [...texts, ...builds]) assert.ok(files.includes(file), `${file} is missing`);
  assert.deepEqual(
    files.filter((file) => /node_modules|\.test\.|\.rs$|sha256|\.gitignore/.test(file)),
    [],
  );
});

// The package as its users meet it: in Node, in a plain page and in a worker, under a strict content security policy.

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import { chromium } from "@playwright/test";
import { launchOptions } from "../browser.js";
import { serve } from "../server.js";
import { frame, labels, networkFile } from "./network.mjs";

const pkg = new URL("../../pkg/", import.meta.url);
const built = ["simd128", "relaxed", "threads"].filter((name) => existsSync(new URL(`${name}/mobilenet_bg.wasm`, pkg)));
const skip = !built.includes("simd128") && "pkg/simd128 is not built: npm run build";
const folder = mkdtempSync(join(tmpdir(), "mobilenet-package-"));
const file = join(folder, "net.safetensors");
writeFileSync(file, networkFile());
// The beginning of a TFLite file and nothing else: only the module of readers knows what is wrong with it.
const noTflite = new Uint8Array(64);
noTflite.set(new TextEncoder().encode("TFL3"), 4);
writeFileSync(join(folder, "no.tflite"), noTflite);
after(() => rmSync(folder, { recursive: true }));

/** What the build without relaxed SIMD says in Node; everything else must agree with it. */
let expected;

function agrees(found) {
  assert.deepEqual(
    found.map(({ className }) => className),
    expected.map(({ className }) => className),
  );
  found.forEach(({ probability }, index) => {
    assert.ok(Math.abs(probability - expected[index].probability) < 1e-4);
  });
}

test("Node loads a file and classifies", { skip }, async () => {
  const { load, MobileNetError } = await import(new URL("index.js", pkg));
  const net = await load({ weights: pathToFileURL(file), variant: "simd128" });
  expected = net.classify(frame(), 3);
  assert.deepEqual(expected.map(({ className }) => className).sort(), labels);
  net.dispose();
  const refusal = (code, message) => (error) => {
    assert.ok(error instanceof MobileNetError && error instanceof Error);
    assert.equal(error.code, code);
    assert.match(error.message, message);
    return true;
  };
  assert.throws(() => net.classify(frame()), refusal("disposed", /was disposed; load it again/));
  const load128 = (weights) => load({ weights, variant: "simd128" });
  await assert.rejects(load128(pathToFileURL(`${file}.no`)), refusal("network", /could not be read/));
  await assert.rejects(load128(noTflite), refusal("corrupt-file", /^weights: TFLite: /));
  const page = new TextEncoder().encode("<!doctype html><title>Sign in</title>");
  await assert.rejects(load128(page), refusal("unsupported-format", /^weights: .*web page/));
  const half = networkFile().slice(0, 5000);
  await assert.rejects(load128(half), refusal("corrupt-file", /^weights: /));
  await assert.rejects(
    load({ weights: networkFile(), variant: "threads" }),
    refusal("unsupported-engine", /does not run here/),
  );
});

test("Node loads the network that ships", { skip }, async () => {
  const { load } = await import(new URL("index.js", pkg));
  const net = await load({ variant: "simd128" });
  assert.deepEqual(
    [net.precision, net.architecture.alpha, net.architecture.resolution, net.labels.length],
    ["int8", 0.5, 128, 200],
  );
  assert.equal(net.classify(frame(), 5).length, 5);
  net.dispose();
});

describe("a page under a strict policy", { skip }, () => {
  let server, browser, page;
  const [noise, foreign] = [[], []];
  before(async () => {
    const policy = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'";
    server = await serve({ mounts: { "/net": folder }, headers: { "Content-Security-Policy": policy } });
    browser = await chromium.launch(launchOptions());
    page = await browser.newPage();
    page.on("console", (message) => noise.push(message.text()));
    page.on("request", (request) => /readers/.test(request.url()) && foreign.push(request.url()));
    await page.goto(`${server.url}pkg/index.js`); // any document of this origin
    noise.length = 0;
  });
  after(async () => {
    await browser?.close();
    await server?.close();
  });

  for (const variant of built) {
    for (const worker of [false, true]) {
      test(`${variant}${worker ? " in a worker" : ""}`, async () => {
        const numThreads = variant === "threads" ? 2 : 1;
        const [answer, about] = await page.evaluate(
          async ([options, picture]) => {
            const { load } = await import("/pkg/index.js");
            const net = await load({ ...options, weights: "/net/net.safetensors" });
            const seen = { ...picture, data: Uint8Array.from(picture.data) };
            const result = [await net.classify(seen, 3), [net.variant, net.numThreads, seen.data.length]];
            net.dispose();
            return result;
          },
          [
            { variant, worker, numThreads },
            { ...frame(), data: [...frame().data] },
          ],
        );
        agrees(answer);
        assert.deepEqual(about, [variant, numThreads, frame().data.length]);
      });
    }
  }

  test("native files do not fetch the readers", () => assert.deepEqual(foreign, []));

  test("of the frames that wait for the worker the newest wins, and its errors arrive", async () => {
    const { race, errors } = await page.evaluate(async () => {
      const { load } = await import("/pkg/index.js");
      const net = await load({ variant: "simd128", weights: "/net/net.safetensors", worker: true });
      const canvas = new OffscreenCanvas(64, 48);
      canvas.getContext("2d").fillRect(0, 0, 30, 30);
      const [a, b, c, d] = await Promise.allSettled([
        net.classify(canvas),
        net.classify(canvas),
        net.classify(canvas),
        net.embed(canvas),
      ]);
      const errors = [];
      const attempt = (promise) =>
        promise.then(
          () => errors.push("none"),
          (error) => errors.push(`${error.name} ${error.code}: ${error.message}`),
        );
      await attempt(net.classify(canvas, 0));
      await attempt(net.classify({}));
      await attempt(net.classify(new OffscreenCanvas(0, 0)));
      await attempt(net.classify(canvas, { signal: AbortSignal.abort() }));
      await attempt(net.classify(canvas, { topk: 2, signal: new AbortController().signal }));
      net.dispose();
      await attempt(net.classify(canvas));
      await attempt(load({ variant: "simd128", weights: "/net/none", worker: true }));
      await attempt(load({ variant: "simd128", weights: "/net/no.tflite", worker: true }));
      await attempt(load({ variant: "simd128", weights: "/net/no.tflite" }));
      return { race: [a, b, c, d].map(({ status, reason }) => reason?.name ?? status), errors };
    });
    assert.deepEqual(race, ["fulfilled", "AbortError", "fulfilled", "fulfilled"]);
    const sentences = [
      /^MobileNetError invalid-option: .*topk/,
      /^MobileNetError invalid-frame: frame: must be a canvas, .*, got an object$/,
      /^MobileNetError invalid-frame: frame: .*0×0 pixels/,
      /^AbortError/,
      /^none$/,
      /^MobileNetError disposed: .*was disposed; load it again/,
      /^MobileNetError network: .*\/net\/none answered 404/,
      /^MobileNetError .*no.tflite: TFLite: /,
      /^MobileNetError .*no.tflite: TFLite: /,
    ];
    sentences.forEach((sentence, index) => {
      assert.match(errors[index], sentence);
    });
  });

  test("nothing is written to the console", () =>
    assert.deepEqual(
      noise.filter((text) => !/404/.test(text)),
      [],
    ));
});

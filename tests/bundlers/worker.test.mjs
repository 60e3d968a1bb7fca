// `load({ worker: true })`: the order of calls, aborting, and what cannot be sent to the worker.

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { chromium } from "@playwright/test";
import { launchOptions } from "../browser.js";
import { serve } from "../server.js";
import { labels, networkFile } from "./network.mjs";

const skip =
  !existsSync(new URL("../../pkg/simd128/mobilenet_bg.wasm", import.meta.url)) &&
  "pkg/simd128 is not built: npm run build";

describe("in a worker", { skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), "mobilenet-worker-"));
  const noise = [];
  let server, browser, page;
  before(async () => {
    writeFileSync(join(folder, "net.safetensors"), networkFile());
    writeFileSync(join(folder, "index.html"), "<!doctype html><title>worker</title>");
    server = await serve({ mounts: { "/net": folder } });
    browser = await chromium.launch(launchOptions());
    page = await browser.newPage();
    page.on("pageerror", (error) => noise.push(error.message));
    await page.goto(`${server.url}net/index.html`);
    await page.evaluate(async () => {
      const { load } = await import("/pkg/index.js");
      window.open = (options) =>
        load({ variant: "simd128", weights: "/net/net.safetensors", worker: true, ...options });
      window.picture = (colour, side = 64) => {
        const canvas = new OffscreenCanvas(side, side);
        const context = canvas.getContext("2d");
        context.fillStyle = colour;
        context.fillRect(0, 0, side, side);
        return canvas;
      };
      window.pixels = (canvas) => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      window.outcome = (promise) =>
        promise.then(
          (value) => value,
          (error) => `${error.name}: ${error.message}`,
        );
    });
  });
  after(async () => {
    await browser?.close();
    await server?.close();
    rmSync(folder, { recursive: true });
  });

  test("calls are answered in their order, however long their frames take", async () => {
    const [taught, removed, left] = await page.evaluate(async () => {
      const net = await open();
      // A canvas is a promise of a frame, pixels are there at once, and training has none.
      for (let i = 0; i < 3; i++) net.addExample("red", picture("red", 2000));
      for (let i = 0; i < 3; i++) net.addExample("blue", pixels(picture("blue")));
      const report = await net.train({ epochs: 2 });
      net.addExample("green", picture("green", 2000));
      const removed = await net.removeExamples("green");
      const left = await net.examples();
      net.dispose();
      return [report.examples, removed, left];
    });
    assert.deepEqual([taught, removed, left], [6, 1, { red: 3, blue: 3 }]);
  });

  test("of waiting frames the newest wins, even if it arrives before an older one", async () => {
    const outcomes = await page.evaluate(async () => {
      const net = await open();
      const calls = [
        net.classify(picture("red")),
        net.classify(picture("red", 3000)),
        net.classify(pixels(picture("blue"))),
      ];
      const outcomes = (await Promise.allSettled(calls)).map(({ status, reason }) => reason?.name ?? status);
      net.dispose();
      return outcomes;
    });
    assert.deepEqual(outcomes, ["fulfilled", "AbortError", "fulfilled"]);
  });

  test("a signal that does not abort changes nothing", async () => {
    const answers = await page.evaluate(async () => {
      const net = await open();
      const [{ signal }, canvas] = [new AbortController(), picture("red")];
      const answers = [
        (await net.classify(canvas, { topk: 2, signal })).length,
        (await net.embed(canvas, { signal })).length > 0,
        await net.addExample("red", canvas, { signal }),
      ];
      net.dispose();
      return answers;
    });
    assert.deepEqual(answers, [2, true, 1]);
  });

  test("a waiting frame can be aborted, also while it is being captured", async () => {
    const outcomes = await page.evaluate(async () => {
      const net = await open();
      const controllers = [new AbortController(), new AbortController()];
      const calls = controllers.map(({ signal }, index) =>
        net[index ? "embed" : "classify"](picture("red", 2000), { signal }),
      );
      const last = net.profile(picture("red"));
      for (const controller of controllers) controller.abort();
      const outcomes = (await Promise.allSettled([...calls, last])).map(({ status, reason }) => reason?.name ?? status);
      net.dispose();
      return outcomes;
    });
    assert.deepEqual(outcomes, ["AbortError", "AbortError", "fulfilled"]);
  });

  test("aborted training reports no further epochs, and leaves the answers as they were", async () => {
    const { stopped, late, names } = await page.evaluate(async () => {
      const net = await open();
      for (const colour of ["red", "blue"]) for (let i = 0; i < 3; i++) await net.addExample(colour, picture(colour));
      const controller = new AbortController();
      let [last, late] = [0, 0];
      const stopped = await outcome(
        net.train({
          epochs: 100_000,
          signal: controller.signal,
          onEpoch(epoch) {
            if (controller.signal.aborted) late++;
            last = epoch;
            if (last === 2) controller.abort();
          },
        }),
      );
      const names = (await net.classify(picture("red"), 3)).map(({ className }) => className).sort();
      net.dispose();
      return { stopped, late, names };
    });
    assert.match(stopped, /^AbortError/);
    assert.equal(late, 0);
    assert.deepEqual(names, labels);
  });

  test("what cannot be sent to the worker is an error, and the next call is answered", async () => {
    const said = await page.evaluate(async () => {
      const net = await open();
      const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="32" height="32"><foreignObject width="32" height="32"><p xmlns="http://www.w3.org/1999/xhtml">x</p></foreignObject></svg>`;
      const foreign = new Image();
      foreign.src = URL.createObjectURL(new Blob([svg], { type: "image/svg+xml" }));
      await foreign.decode();
      const said = [
        await outcome(net.classify(foreign)),
        await outcome(net.classify(picture("red"), { topk() {} })),
        await outcome(net.classify({ data: [...pixels(picture("red")).data], width: 64, height: 64 })),
        (await net.classify(picture("red"), 1)).length,
      ];
      net.dispose();
      return said;
    });
    assert.match(said[0], /another origin.*crossOrigin = "anonymous"/);
    assert.match(said[1], /classify: it cannot be sent to the worker: /);
    assert.match(said[2], /^Error: frame: /);
    assert.equal(said[3], 1);
  });

  test("addresses are relative to the page's base, as they are without a worker", async () => {
    const found = await page.evaluate(async () => {
      const base = document.createElement("base");
      base.href = "/net/";
      document.head.append(base);
      history.replaceState(null, "", "/elsewhere/page");
      const found = [];
      for (const worker of [false, true]) {
        const net = await open({ weights: "net.safetensors", wasmUrl: "../pkg/simd128/mobilenet_bg.wasm", worker });
        found.push(net.variant);
        net.dispose();
      }
      return found;
    });
    assert.deepEqual(found, ["simd128", "simd128"]);
  });

  test("no rejection is left unhandled", () => assert.deepEqual(noise, []));
});

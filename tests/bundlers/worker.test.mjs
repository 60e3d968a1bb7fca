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
    assert.match(said[1], /^MobileNetError: classify: it cannot be sent to the worker \(.*\); give plain objects$/);
    assert.match(said[2], /^MobileNetError: frame: /);
    assert.equal(said[3], 1);
  });

  test("bad frames and options are refused in the same words as without a worker", async () => {
    const pairs = await page.evaluate(async () => {
      const { load, MobileNetError } = await import("/pkg/index.js");
      const options = { variant: "simd128", weights: "/net/net.safetensors" };
      const [here, there] = [await load(options), await load({ ...options, worker: true })];
      const canvas = (width, height) => Object.assign(document.createElement("canvas"), { width, height });
      const bytes = (data, width = 1, height = 1) => ({ data, width, height });
      const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="32" height="32"><foreignObject width="32" height="32"><p xmlns="http://www.w3.org/1999/xhtml">x</p></foreignObject></svg>`;
      const foreign = new Image();
      foreign.src = URL.createObjectURL(new Blob([svg], { type: "image/svg+xml" }));
      await foreign.decode();
      const closed = await createImageBitmap(canvas(4, 4));
      const drawn = canvas(4, 4);
      drawn.getContext("2d").fillRect(0, 0, 2, 2);
      const past = new VideoFrame(drawn, { timestamp: 0 });
      for (const frame of [closed, past]) frame.close();
      const getter = {
        get data() {
          throw new RangeError("the caller's own");
        },
      };
      // biome-ignore format: one kind of frame after the other
      const frames = [
        undefined, null, "cat.png", 7, 7n, Symbol("s"), () => 1, {}, [1], new Map(), document.createElement("div"), getter,
        canvas(0, 5), document.createElement("video"), new Image(), closed, past, foreign,
        bytes([1, 2, 3, 4]), bytes(new Float32Array(4)), bytes(new DataView(new ArrayBuffer(4))), bytes(null),
        bytes(new Uint8Array(4), 2), bytes(new Uint8Array(4), Number.NaN), bytes(new Uint8Array(4), 0.5, 2),
        bytes(new Uint8Array(4), -1, -1), bytes(new Uint8Array(4), "1"), bytes(new Uint8Array(0), 0, 0),
        { data: new Uint8Array(4) },
      ];
      const arguments_ = [
        0,
        9,
        "three",
        [3],
        { topK: 3 },
        { fit: "zoom" },
        { regionOfInterest: { x: 1 } },
        { signal: {} },
      ];
      const loads = [{ padding: "valid" }, { weigths: 1 }, { normalization: {} }, { labels: [1] }, { numThreads: 0 }];
      const told = async (call) => {
        try {
          await call();
          return "accepted";
        } catch (error) {
          return [error.name, error.code, error.message, error instanceof MobileNetError].join(" ");
        }
      };
      const both = async (call) => [await told(() => call(here)), await told(() => call(there))];
      const pairs = [];
      for (const frame of frames) pairs.push(await both((net) => net.classify(frame)));
      for (const argument of arguments_) pairs.push(await both((net) => net.classify(drawn, argument)));
      for (const more of loads) {
        pairs.push([await told(() => load({ ...options, ...more })), await told(() => open(more))]);
      }
      for (const net of [here, there]) net.dispose();
      return pairs;
    });
    for (const [here, there] of pairs) {
      assert.match(here, /^MobileNetError [a-z-]+ .* true$|^RangeError {2}the caller's own false$/);
      assert.equal(there, here);
    }
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

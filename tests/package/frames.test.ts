// Frames on their way to the worker: what cannot be taken is described to the class there, which refuses it.
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { load, type MobileNetWorker } from "../../pkg/src/index.ts";
import { reset } from "./fake-module.ts";
import { canvas, FakeBitmap, pixels, stubBrowser } from "./fake-worker.ts";
import { file, refusal, type Server, serve, wasm } from "./helpers.ts";

let server: Server;
beforeAll(async () => {
  server = await serve();
});
afterAll(() => server.close());
beforeEach(() => {
  reset();
  stubBrowser();
  server.asked.length = 0;
  server.files.set("/net", file).set("/simd128.wasm", wasm);
});

const open = (options: object = {}): Promise<MobileNetWorker> =>
  load({ weights: file, variant: "simd128", wasmUrl: `${server.url}/simd128.wasm`, worker: true, ...options });

describe("frames that are none are described to the class, which refuses them", () => {
  test.each<[string, unknown, string]>([
    ["undefined", undefined, "undefined undefined undefined"],
    ["null", null, "object undefined null"],
    ["a string", "cat.png", 'string undefined "cat.png"'],
    ["a number", 7, "number undefined 7"],
    ["a function", () => 1, "function undefined undefined"],
    ["a symbol", Symbol("s"), "symbol Symbol undefined"],
    ["an object", {}, "object undefined {}"],
    ["an array", [1, 2], "object undefined []"],
    [
      "an element",
      canvas({ tag: "HTMLDivElement", children: [], onclick() {} }),
      'object HTMLDivElement {"width":4,"height":4}',
    ],
    [
      "a video",
      canvas({ tag: "HTMLVideoElement", readyState: 1, refusal: new Error("no") }),
      'object HTMLVideoElement {"width":4,"height":4,"readyState":1}',
    ],
    [
      "an image",
      canvas({ tag: "HTMLImageElement", naturalWidth: 0, refusal: new Error("no") }),
      'object HTMLImageElement {"width":4,"height":4,"naturalWidth":0}',
    ],
    [
      "a closed VideoFrame",
      canvas({
        tag: "VideoFrame",
        displayWidth: 0,
        clone() {
          throw new DOMException("closed", "InvalidStateError");
        },
      }),
      'object VideoFrame {"width":4,"height":4,"displayWidth":0}',
    ],
  ])("%s", async (_, frame, said) => {
    const net = await open();
    expect(await refusal(net.classify(frame as never))).toMatchObject({
      code: "invalid-frame",
      message: `frame: no picture: ${said}`,
    });
  });

  test("with why the browser could not take it, where that is all that is wrong", async () => {
    const thrown = new TypeError("not of type CanvasImageSource");
    const context = {
      drawImage() {
        throw thrown;
      },
    };
    vi.stubGlobal(
      "OffscreenCanvas",
      class {
        getContext = () => context;
      },
    );
    const net = await open();
    const frame = canvas({ width: 70000, refusal: new Error("too $& large") });
    expect(await refusal(net.classify(frame))).toMatchObject({
      code: "invalid-frame",
      message: "frame: the browser could not draw it: too $& large",
    });
  });

  test("plain objects with other data", async () => {
    const net = await open();
    await net.classify({ data: [1, 2, 3, 4], width: 1, height: 1 } as never).catch(() => {});
    await net.classify({ data: new DataView(new ArrayBuffer(4)), width: 1, height: 1 } as never).catch(() => {});
    const detached = pixels(1, 2, 3, 4);
    structuredClone(detached.data, { transfer: [detached.data.buffer] });
    expect(await net.classify(detached as never)).toMatchObject([{ index: 0 }]);
    const calls = (await net.layers()) as unknown as [string, { data: object }][];
    expect(calls.length).toBe(3);
  });

  test("a getter that throws", async () => {
    const net = await open();
    const frame = {
      get data() {
        throw new Error("mine");
      },
    };
    expect((await refusal(net.classify(frame as never))).message).toBe("mine");
    expect((await net.classify(pixels(1) as never)).length).toBe(1);
  });
});

test("a frame of another origin is for the class to refuse, too", async () => {
  const net = await open();
  const refused = { code: "tainted-canvas", message: "frame: it is tainted" };
  expect(await refusal(net.classify(canvas({ secret() {} })))).toMatchObject(refused);
  const forbidden = new DOMException("no", "SecurityError");
  expect(await refusal(net.classify(canvas({ refusal: forbidden })))).toMatchObject(refused);
  expect(FakeBitmap.open).toBe(0);
  expect((await net.classify(pixels(1) as never)).length).toBe(1);
});

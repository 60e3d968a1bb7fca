// `load({ worker: true })`: both sides of the worker, in one thread. The modules are stand-ins.
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { load, MobileNetError, type MobileNetWorker } from "../../pkg/src/index.ts";
import { log, reset } from "./fake-module.ts";
import { canvas, FakeBitmap, pixels, stubBrowser, workers } from "./fake-worker.ts";
import { file, refusal, type Server, serve, slowResponse, text, wasm } from "./helpers.ts";

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
const outcomes = async (calls: Promise<unknown>[]) =>
  (await Promise.allSettled(calls)).map((call) => (call.status === "fulfilled" ? call.status : call.reason.name));

test("a trap in the worker comes to the page as it does without one", async () => {
  expect(await refusal(open({ weights: text("!") }))).toMatchObject({
    name: "MobileNetError",
    code: "crashed",
    message: "weights: MobileNet crashed (unreachable); load the network again",
  });
  expect(workers[0]?.terminated).toBe(true);
});

describe("answers", () => {
  test("of every method, and the properties", async () => {
    const net = await open();
    expect(workers[0]?.url.href).toMatch(/worker\.js$/);
    expect(workers[0]?.options).toEqual({ type: "module" });
    expect({ ...net }).toMatchObject({
      variant: "simd128",
      numThreads: 1,
      precision: "f32",
      labels: ["a", "b"],
      architecture: { alpha: 1 },
      disposed: false,
      timings: { network: 1 },
    });
    expect(await net.classify(pixels(7, 7) as never, 3)).toEqual([{ className: "cat", probability: 7, index: 2 }]);
    expect(await net.embed(canvas({ color: 9 }))).toEqual(Float32Array.of(9));
    expect(await net.addExample("cat", canvas({ color: 5 }))).toBe(2);
    expect(await net.layers()).toEqual([
      ["classify", expect.anything(), 3],
      ["addExample", "cat", 5],
    ]);
    expect(await net.examples()).toEqual({ cat: 2 });
    expect(await net.train({ epochs: 1 })).toEqual({ epochs: 1 });
    expect(net.labels).toEqual(["cat", "dog"]);
  });

  test("frames are taken when the call is made, and stay the caller's", async () => {
    const net = await open();
    const frame = pixels(1);
    const [first, second] = [net.addExample("a", frame as never), net.addExample("b", frame as never)];
    frame.data[0] = 2;
    await Promise.all([first, second]);
    expect(await net.layers()).toEqual([
      ["addExample", "a", 1],
      ["addExample", "b", 1],
    ]);
    expect(frame.data.length).toBe(1);
  });

  test("the caller's options stay as they were", async () => {
    const net = await open();
    const options = Object.freeze({ epochs: 1, onEpoch: vi.fn(), signal: new AbortController().signal });
    await net.train(options as never);
    expect(options.onEpoch.mock.calls).toEqual([[0, { loss: 1 }]]);
  });
});

describe("the queue", () => {
  test("calls come to the worker in the order in which they were made, however long their frames take", async () => {
    const net = await open();
    const calls = [
      net.addExample("a", canvas({ color: 1, delay: 30 })),
      net.addExample("b", pixels(2) as never),
      net.train({ epochs: 1 }),
      net.addExample("c", canvas({ color: 3, delay: 10 })),
      net.layers(),
    ];
    expect((await Promise.all(calls)).at(-1)).toEqual([
      ["addExample", "a", 1],
      ["addExample", "b", 2],
      ["addExample", "c", 3],
    ]);
    expect(workers[0]?.posted.map(({ method }) => method)).toEqual([
      "load",
      "addExample",
      "addExample",
      "train",
      "addExample",
      "layers",
    ]);
  });

  test("of the frames that wait the newest of each method wins, and those dropped are closed", async () => {
    const net = await open();
    const calls = [
      net.classify(canvas()),
      net.classify(canvas({ delay: 20 })),
      net.embed(canvas()),
      net.classify(pixels(1) as never),
    ];
    expect(await outcomes(calls)).toEqual(["fulfilled", "AbortError", "fulfilled", "fulfilled"]);
    expect((await refusal(calls[1] as Promise<unknown>)).message).toBe(
      "a newer frame replaced this one before classify came to it",
    );
    await new Promise((resolve) => setTimeout(resolve, 30));
    // Those of the first call and of embed were given away.
    expect(FakeBitmap.open).toBe(2);
  });

  test("an error ends one call, and the next is answered", async () => {
    const net = await open();
    expect(await outcomes([net.save(), net.layers()])).toEqual(["TypeError", "fulfilled"]);
  });
});

describe("abort", () => {
  test("before the call", async () => {
    const net = await open();
    expect((await refusal(net.classify(canvas(), { signal: AbortSignal.abort(new Error("no")) }))).message).toBe("no");
    expect(FakeBitmap.open).toBe(0);
  });

  test("a signal that is not set changes nothing", async () => {
    const net = await open();
    const { signal } = new AbortController();
    const [add, remove] = [vi.spyOn(signal, "addEventListener"), vi.spyOn(signal, "removeEventListener")];
    await net.classify(canvas(), { topk: 2, signal });
    await net.heatmap(canvas(), 1, { signal }).catch(() => {});
    expect(add.mock.calls.length).toBe(2);
    expect(remove.mock.calls.length).toBe(2);
  });

  test("while the call waits, and while its frame is taken", async () => {
    const net = await open();
    const controllers = [new AbortController(), new AbortController()] as const;
    const calls = [
      net.classify(canvas({ delay: 20 }), controllers[0]),
      net.embed(canvas({ delay: 20 }), controllers[1]),
      net.layers(),
    ];
    controllers[1].abort();
    controllers[0].abort(new Error("enough"));
    expect(await outcomes(calls)).toEqual(["Error", "AbortError", "fulfilled"]);
    await new Promise((resolve) => setTimeout(resolve, 40));
    expect(FakeBitmap.open).toBe(0);
  });

  test("while the worker looks at the frame", async () => {
    const net = await open();
    const controller = new AbortController();
    const call = net.classify(pixels(1) as never, controller);
    await Promise.resolve();
    expect(workers[0]?.posted.length).toBe(2);
    controller.abort(new Error("enough"));
    expect((await refusal(call)).message).toBe("enough");
    expect((await net.layers()).length).toBe(1);
  });

  test("of training: it stops, is heard of no more, and the next call is answered", async () => {
    const net = await open();
    const controller = new AbortController();
    let late = 0;
    const onEpoch = (epoch: number) => {
      if (controller.signal.aborted) late++;
      if (epoch === 2) controller.abort();
    };
    const call = net.train({ epochs: 1e6, onEpoch, signal: controller.signal } as never);
    expect((await refusal(call)).name).toBe("AbortError");
    expect([late, net.labels]).toEqual([0, ["a", "b"]]);
    expect(await net.layers()).toEqual([]);
  });

  test("of training that had ended anyway comes too late", async () => {
    const net = await open();
    const controller = new AbortController();
    // The stand-in looks at the signal a moment after its only epoch, before this comes to it.
    const onEpoch = () => void setTimeout(() => controller.abort(), 0);
    expect(await net.train({ epochs: 1, onEpoch, signal: controller.signal } as never)).toEqual({ epochs: 1 });
    expect(net.labels).toEqual(["cat", "dog"]);
  });

  test("of loading ends the worker", async () => {
    const controller = new AbortController();
    const onProgress = () => controller.abort(new Error("enough"));
    expect((await refusal(open({ signal: controller.signal, onProgress }))).message).toBe("enough");
    expect(workers[0]?.terminated).toBe(true);
    expect((await refusal(open({ signal: AbortSignal.abort() }))).name).toBe("AbortError");
    expect(workers.length).toBe(1);
  });
});

describe("callbacks", () => {
  test("progress is told to the page", async () => {
    const onProgress = vi.fn();
    await open({ weights: `${server.url}/net`, onProgress });
    expect(onProgress).toHaveBeenLastCalledWith({ loaded: 100, total: 100 });
  });

  test("what they throw ends the call, as without a worker", async () => {
    const thrower = () => {
      throw new Error("mine");
    };
    expect((await refusal(open({ onProgress: thrower }))).message).toBe("mine");
    const net = await open();
    expect((await refusal(net.train({ epochs: 1e6, onEpoch: thrower } as never))).message).toBe("mine");
    expect(await net.layers()).toEqual([]);
  });

  test("what they throw at the last moment ends the call too, as without a worker", async () => {
    const net = await open();
    const thrower = () => {
      throw new Error("mine");
    };
    const here = await load({ weights: file, variant: "simd128", wasmUrl: `${server.url}/simd128.wasm` });
    for (const one of [here, net])
      expect((await refusal(one.train({ epochs: 1, onEpoch: thrower } as never))).message).toBe("mine");
    expect(await net.layers()).toEqual([]);
  });

  test("what is none is refused as without a worker", async () => {
    expect((await refusal(open({ onProgress: 3 }))).message).toBe("onProgress: must be a function, got 3");
    expect((await refusal(open({ signal: "now" }))).message).toBe('signal: must be an AbortSignal, got "now"');
    expect((await refusal(open({ cache: 3 }))).message).toMatch(/^cache: must be/);
    expect((await refusal(open({ weight: 3 }))).message).toMatch(
      /^load: weight: unknown option; the options are weights,/,
    );
    expect(workers).toEqual([]);
  });
});

describe("dispose", () => {
  test("ends the worker, and what waits is rejected", async () => {
    const net = await open();
    const calls = [net.train({ epochs: 1e6 } as never), net.classify(canvas({ delay: 20 })), net.layers()];
    net.dispose();
    net.dispose();
    expect(await outcomes(calls)).toEqual(["AbortError", "AbortError", "AbortError"]);
    expect([net.disposed, workers[0]?.terminated]).toEqual([true, true]);
    const { name, code, message } = (await refusal(net.classify(canvas()))) as MobileNetError;
    expect([name, code, message]).toEqual(["MobileNetError", "disposed", "MobileNet was disposed; load it again"]);
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(FakeBitmap.open).toBe(0);
  });

  test("by `using`", async () => {
    const net = await open();
    net[(Symbol.dispose ?? Symbol.for("Symbol.dispose")) as typeof Symbol.dispose]();
    expect(net.disposed).toBe(true);
  });
});

describe("errors", () => {
  test("keep name, code and message", async () => {
    const error = (await refusal(open({ weights: `${server.url}/none` }))) as MobileNetError;
    expect([error.name, error.code, error.message]).toEqual([
      "MobileNetError",
      "network",
      `weights: ${server.url}/none answered 404 Not Found`,
    ]);
    expect(error).toBeInstanceOf(MobileNetError);
    // One of the class.
    expect(await refusal(open({ weights: text("?") }))).toMatchObject({
      name: "MobileNetError",
      code: "corrupt-file",
      message: "weights: the header is damaged",
    });
    expect(workers.every(({ terminated }) => terminated)).toBe(true);
    const net = await open();
    expect(await refusal(net.save())).toMatchObject({ name: "TypeError", message: "nothing to save" });
  });

  test("a worker that fails", async () => {
    const net = await open();
    const call = net.layers();
    workers[0]?.onerror?.({ message: "out of memory", preventDefault() {} });
    expect(await refusal(call)).toMatchObject({
      code: "worker",
      message: "worker: it failed (out of memory); load the network again",
    });
    expect((await refusal(net.layers())).code).toBe("disposed");
    vi.stubGlobal(
      "Worker",
      class {
        terminate() {}
        postMessage() {}
        set onerror(listener: (event: Event) => void) {
          setTimeout(() => listener(new Event("error")));
        }
      },
    );
    expect(await refusal(open())).toMatchObject({
      code: "worker",
      message: "worker: it failed (its script could not be loaded); load the network again",
    });
  });

  test("an engine without workers", async () => {
    vi.stubGlobal("Worker", undefined);
    expect(await refusal(open())).toMatchObject({
      code: "unsupported-engine",
      message: "worker: this engine has no Web Workers; leave out the option worker",
    });
  });

  test("what cannot be posted", async () => {
    const net = await open();
    expect(await refusal(net.classify(pixels(1) as never, { topk() {} } as never))).toMatchObject({
      code: "invalid-argument",
      message: expect.stringMatching(/^classify: it cannot be sent to the worker \(.*\); give plain objects$/),
    });
    expect(await refusal(net.classify(canvas(), { topk() {} } as never))).toMatchObject({ code: "invalid-argument" });
    expect(await refusal(net.classify(canvas(), { onEpoch() {} } as never))).toMatchObject({
      code: "invalid-argument",
    });
    expect(FakeBitmap.open).toBe(0);
    expect((await net.classify(pixels(1) as never)).length).toBe(1);
    expect(await refusal(open({ weights: () => 1 }))).toMatchObject({
      code: "invalid-argument",
      message: expect.stringMatching(/^load: it cannot be sent/),
    });
  });
});

describe("what is read in the page", () => {
  test("addresses are the page's", async () => {
    vi.stubGlobal("document", { baseURI: `${server.url}/some/page.html` });
    server.files.set("/some/names.txt", text("one"));
    const net = await open({
      weights: "../net",
      labels: new URL("names.txt", document.baseURI),
      wasmUrl: { simd128: "../simd128.wasm" },
    });
    expect(net.variant).toBe("simd128");
    expect(workers[0]?.posted[0]).toMatchObject({
      args: [
        {
          weights: `${server.url}/net`,
          labels: `${server.url}/some/names.txt`,
          wasmUrl: { simd128: `${server.url}/simd128.wasm` },
        },
      ],
    });
    for (const wasmUrl of [undefined, null])
      expect((await refusal(open({ wasmUrl }))).message).toMatch(/could not be read from file:/);
    workers.splice(1);
    await open({ wasmUrl: "../simd128.wasm" });
    expect(workers[1]?.posted[0]).toMatchObject({ args: [{ wasmUrl: `${server.url}/simd128.wasm` }] });
  });

  test("a Request and a Response, with progress, abort and what may go wrong", async () => {
    const onProgress = vi.fn();
    await open({ weights: new Request(`${server.url}/net`), onProgress });
    await open({ weights: slowResponse(file, { parts: 2 }), onProgress });
    expect(onProgress.mock.calls.length).toBeGreaterThan(3);
    expect(log.built).toBe(2);
    expect(await refusal(open({ weights: new Request(`${server.url}/none`) }))).toMatchObject({
      code: "network",
      message: `weights: ${server.url}/none answered 404 Not Found`,
    });
    const controller = new AbortController();
    setTimeout(() => controller.abort(new Error("enough")), 20);
    expect(
      (await refusal(open({ weights: slowResponse(file, { stopAfter: 1 }), signal: controller.signal }))).message,
    ).toBe("enough");
    expect(workers.length).toBe(2);
  });

  test("bytes stay the caller's", async () => {
    await open({ weights: file.buffer });
    await open({ weights: new Blob([file as BlobPart]) });
    expect([log.built, file.length]).toEqual([2, 100]);
  });
});

// The loader: which build, starting it, what it hands to the class, and what it refuses. The modules are stand-ins.
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { cosineSimilarity, load, MobileNetError, supportedVariants } from "../../pkg/src/index.ts";
import { engine, log, reset } from "./fake-module.ts";
import { file, memoryCaches, refusal, type Server, serve, slowResponse, text, wasm } from "./helpers.ts";

let server: Server;
let round = 0;
let wasmUrl: Record<string, string>;

beforeAll(async () => {
  server = await serve();
});
afterAll(() => server.close());
beforeEach(() => {
  reset();
  server.files.clear();
  // A module is started once for each address, so every test gets its own.
  const url = (name: string) => `${server.url}/${round}/${name}.wasm`;
  round++;
  wasmUrl = { simd128: url("simd128"), relaxed: url("relaxed"), threads: url("threads"), readers: url("readers") };
  for (const address of Object.values(wasmUrl)) server.files.set(address.replace(server.url, ""), wasm);
  server.files.set("/net", file);
  server.asked.length = 0;
});

/** What the stand-in was given. */
const loaded = async (options: object = {}) =>
  (await load({ weights: file, variant: "simd128", wasmUrl, ...options })) as unknown as {
    bytes: Uint8Array;
    options: Record<string, unknown>;
    variant: string;
    dispose(): void;
  };

const { instantiate } = WebAssembly;

/** As in a browser that has everything, and computes relaxed SIMD rightly. */
function isolated(): void {
  vi.stubGlobal("crossOriginIsolated", true);
  vi.stubGlobal("WebAssembly", {
    ...WebAssembly,
    Module: WebAssembly.Module,
    compile: WebAssembly.compile,
    RuntimeError: WebAssembly.RuntimeError,
    validate: () => true,
    // Node's own `fetch` is WebAssembly too, with imports.
    instantiate: async (source: never, ...imports: never[]) =>
      imports.length > 0 ? instantiate(source, ...imports) : { instance: { exports: { isRight: () => 1 } } },
  });
  vi.stubGlobal(
    "Worker",
    class {
      onmessage?: (event: object) => void;
      postMessage = () => setTimeout(() => this.onmessage?.({}));
      terminate(): void {}
    },
  );
}

describe("the build", () => {
  test("the fastest that runs here, threads only where more than one is wanted", async () => {
    isolated();
    expect(await supportedVariants()).toEqual(["threads", "relaxed", "simd128"]);
    expect((await loaded({ variant: undefined })).variant).toBe("relaxed");
    expect((await loaded({ variant: undefined, numThreads: 1 })).variant).toBe("relaxed");
    const threads = await loaded({ variant: undefined, numThreads: 2 });
    expect([threads.variant, threads.options]).toEqual(["threads", { numThreads: 2 }]);
    expect((await loaded({ variant: "threads" })).options).toEqual({ numThreads: 1 });
    expect((await loaded({ numThreads: 2 })).options).toEqual({});
  });

  test("threads need an isolated page, workers and relaxed SIMD", async () => {
    isolated();
    vi.stubGlobal("crossOriginIsolated", false);
    expect(await supportedVariants()).toEqual(["relaxed", "simd128"]);
    isolated();
    vi.stubGlobal("Worker", undefined);
    expect(await supportedVariants()).toEqual(["relaxed", "simd128"]);
    vi.stubGlobal("WebAssembly", { validate: (bytes: Uint8Array) => !bytes.join().includes("253,147,2") });
    expect(await supportedVariants()).toEqual(["simd128"]);
    const { code, message } = await refusal(load({ weights: file, variant: "relaxed" }));
    expect([code, message]).toEqual([
      "unsupported-engine",
      'variant: "relaxed" does not run here; this engine has no relaxed SIMD; leave the variant out',
    ]);
    expect((await refusal(load({ weights: file, variant: "threads" }))).message).toBe(
      'variant: "threads" does not run here; it needs relaxed SIMD and a cross-origin isolated page (the headers COOP and COEP)',
    );
  });

  test.each([undefined, { validate: () => false }])("an engine without SIMD: %o", async (engine) => {
    vi.stubGlobal("WebAssembly", engine);
    expect(await supportedVariants()).toEqual([]);
    const { code, message } = await refusal(load({ weights: file }));
    expect([code, message]).toEqual([
      "unsupported-engine",
      "load: WebAssembly with SIMD is needed, and this engine has none; use a browser of 2023 or later",
    ]);
  });

  test("is started once, and again after it failed", async () => {
    server.files.delete(new URL(wasmUrl.simd128 as string).pathname);
    const { code, message } = await refusal(loaded());
    expect(code).toBe("network");
    expect(message).toBe(
      `load: the build "simd128" could not be read from ${wasmUrl.simd128} (the server answered 404); check the option wasmUrl, and that the page's policy allows 'wasm-unsafe-eval'`,
    );
    server.files.set(new URL(wasmUrl.simd128 as string).pathname, wasm);
    await Promise.all([loaded(), loaded(), loaded()]);
    expect(log.initialized).toEqual(["simd128"]);
    expect(server.asked.length).toBe(2);
  });

  test("a wasm that is none", async () => {
    server.files.set("/page.wasm", text("<!doctype html>"));
    const { message } = await refusal(loaded({ wasmUrl: `${server.url}/page.wasm` }));
    expect(message).toMatch(/could not be read from .*\/page\.wasm \(.*magic.*\); check the option wasmUrl/);
    expect((await refusal(loaded({ wasmUrl: undefined }))).message).toMatch(
      /could not be read from file:.*simd128\/mobilenet_bg\.wasm \(ENOENT/,
    );
  });

  test("a server that sends another type than application/wasm", async () => {
    server.files.set("/plain", wasm);
    expect((await loaded({ wasmUrl: new URL(`${server.url}/plain`) })).variant).toBe("simd128");
  });

  test("wasmUrl: one for the build, and a relative one is the page's", async () => {
    expect((await loaded({ wasmUrl: wasmUrl.simd128 })).variant).toBe("simd128");
    vi.stubGlobal("document", { baseURI: `${server.url}/some/page.html` });
    server.files.set("/some/own.wasm", wasm);
    await loaded({ wasmUrl: "own.wasm" });
    expect(server.asked.at(-1)).toBe("/some/own.wasm");
    vi.stubGlobal("document", undefined);
    const { code, message } = await refusal(loaded({ wasmUrl: "own.wasm" }));
    expect([code, message]).toEqual(["invalid-option", 'wasmUrl: must be an address, got "own.wasm"']);
  });

  test("a thread that does not start", async () => {
    isolated();
    vi.stubGlobal(
      "Worker",
      class {
        onerror?: (event: object) => void;
        postMessage = () => setTimeout(() => this.onerror?.({ message: undefined }));
        terminate(): void {}
      },
    );
    const { code, message } = await refusal(loaded({ variant: "threads", numThreads: 2 }));
    expect([code, message]).toEqual(["worker", "load: a thread could not be started: its script could not be loaded"]);
  });

  test("the class can be disposed of by `using`, and compares embeddings", async () => {
    const net = await loaded();
    const dispose = (Symbol.dispose ?? Symbol.for("Symbol.dispose")) as never;
    expect(net[dispose]).toBe(net.dispose);
    expect((net.constructor as unknown as { cosineSimilarity: unknown }).cosineSimilarity).toBe(cosineSimilarity);
  });
});

describe("a trap", () => {
  const crash = text("!");
  const names = (nets: { disposed: boolean }[]) => nets.map(({ disposed }) => disposed);

  test("ends the networks of its instance, and the next load works", async () => {
    const nets = [await loaded(), await loaded()] as never as { classify(frame: object): object; disposed: boolean }[];
    const [first, second] = nets as [(typeof nets)[0], (typeof nets)[0]];
    expect(first.classify({ data: [1] })).toBeDefined();
    const trapped = await refusal(loaded({ weights: crash }));
    expect([trapped.code, trapped.message]).toEqual([
      "crashed",
      "weights: MobileNet crashed (unreachable); load the network again",
    ]);
    expect(trapped.cause).toBeInstanceOf(MobileNetError);
    for (let time = 0; time < 2; time++)
      for (const net of [first, second])
        expect(() => net.classify({ data: [1] })).toThrow(
          expect.objectContaining({ code: "crashed", message: "MobileNet crashed; load the network again" }),
        );
    expect(log.restarted).toBe(1);
    // What it had is gone, and a page that cleans up is not troubled.
    for (const net of nets) (net as never as { dispose(): void }).dispose();
    expect(names(nets)).toEqual([true, true]);
    const fresh = (await loaded()) as never as typeof first;
    expect(fresh.classify({ data: [7] })).toEqual([{ className: "cat", probability: 7, index: 1 }]);
    expect(log.restarted).toBe(1);
  });

  test("in a method, and in one that the caller's code calls back", async () => {
    type Net = { classify(frame: object): object; embed(frame: object): object };
    const trap = {
      get data(): never {
        throw new WebAssembly.RuntimeError("memory access out of bounds");
      },
    };
    let net = (await loaded()) as never as Net;
    expect(() => net.embed(trap)).toThrow(
      expect.objectContaining({
        code: "crashed",
        message: "MobileNet crashed (memory access out of bounds); load the network again",
      }),
    );
    net = (await loaded()) as never as Net;
    const nested = {
      get data(): Uint8Array {
        expect(() => net.embed(trap)).toThrow(expect.objectContaining({ code: "crashed" }));
        return Uint8Array.of(1);
      },
    };
    expect(() => net.embed(nested)).toThrow(expect.objectContaining({ code: "crashed" }));
    expect(log.restarted).toBe(2);
  });

  test("other errors of the caller's code are passed on and end nothing", async () => {
    const net = (await loaded()) as never as { embed(frame: object): object };
    const thrown = {
      get data(): never {
        throw new RangeError("mine");
      },
    };
    expect(() => net.embed(thrown)).toThrow(new RangeError("mine"));
    expect(net.embed({ data: [3] })).toEqual(Float32Array.of(3));
    expect(log.restarted).toBe(0);
  });

  test("settles the training that was under way", async () => {
    const net = (await loaded()) as never as { train(options: object): Promise<unknown> };
    const training = refusal(net.train({ epochs: 1e9 }));
    await refusal(loaded({ weights: crash }));
    expect(await training).toMatchObject({ code: "crashed" });
  });

  test("without memory for a fresh instance, which the next load tries again", async () => {
    const { restart } = engine;
    await loaded();
    engine.restart = () => {
      throw new RangeError("could not allocate memory");
    };
    expect((await refusal(loaded({ weights: crash }))).code).toBe("crashed");
    const { code, message } = await refusal(loaded());
    expect([code, message]).toEqual([
      "out-of-memory",
      "load: WebAssembly could not be started again (could not allocate memory); close other pages",
    ]);
    engine.restart = restart;
    await loaded();
  });

  test("of the threads ends them, and the next load starts others", async () => {
    isolated();
    const all: { terminated: boolean }[] = [];
    vi.stubGlobal(
      "Worker",
      class {
        onmessage?: (event: object) => void;
        terminated = false;
        constructor() {
          all.push(this);
        }
        postMessage = () => setTimeout(() => this.onmessage?.({}));
        terminate(): void {
          this.terminated = true;
        }
      },
    );
    const options = { variant: undefined, numThreads: 3 };
    await loaded(options);
    expect((await refusal(loaded({ ...options, weights: crash }))).code).toBe("crashed");
    await loaded(options);
    expect(all.map(({ terminated }) => terminated)).toEqual([true, true, false, false]);
  });

  test("near the stack's end nothing is begun", async () => {
    const net = (await loaded()) as never as { classify(frame: object): object; layers(): unknown[] };
    const errors: unknown[] = [];
    const down = (): unknown => {
      try {
        return down();
      } catch (thrown) {
        errors.push(thrown);
        return net.classify({ data: [1] });
      }
    };
    down();
    expect(errors.length).toBeGreaterThan(50);
    expect(errors.every((error) => error instanceof RangeError)).toBe(true);
    // As many calls as were let in: the one that returned.
    expect(net.layers().length).toBe(1);
  });
});

describe("options", () => {
  test.each<[unknown, string]>([
    [null, "load: options: must be an object, got null"],
    [3, "load: options: must be an object, got 3"],
    [[1], "load: options: must be an object, got an array"],
    ["model.tflite", 'load: options: must be an object, got "model.tflite"; give an address as { weights: address }'],
    [{ numThreads: 0 }, "numThreads: must be a whole number from 1 to 64, got 0"],
    [{ numThreads: 65 }, "numThreads: must be a whole number from 1 to 64, got 65"],
    [{ numThreads: 1.5 }, "numThreads: must be a whole number from 1 to 64, got 1.5"],
    [{ numThreads: "2" }, 'numThreads: must be a whole number from 1 to 64, got "2"'],
    [{ numThreads: null }, "numThreads: must be a whole number from 1 to 64, got null"],
    [{ variant: "fast" }, 'variant: must be one of simd128, relaxed, threads, got "fast"'],
    [{ variant: "readers" }, 'variant: must be one of simd128, relaxed, threads, got "readers"'],
    [
      { weight: 3 },
      "load: weight: unknown option; the options are weights, labels, precision, padding, activation, epsilon, normalization, resolution, numThreads, variant, wasmUrl, worker, onProgress, signal, integrity, cache, maxBytes, timeout",
    ],
    [{ onProgress: 3 }, "onProgress: must be a function, got 3"],
    [{ integrity: "md5-abc" }, 'integrity: must be sha256-, sha384- or sha512- and a hash in base64, got "md5-abc"'],
    [{ maxBytes: 0 }, "maxBytes: must be a number above 0, got 0"],
    [{ timeout: "1 s" }, 'timeout: must be a number above 0, got "1 s"'],
    [{ cache: 3 }, "cache: must be true, false or a name, got 3"],
    [{ signal: "now" }, 'signal: must be an AbortSignal, got "now"'],
    [
      { weights: null, variant: "simd128" },
      "weights: must be an address, Request, Response, Blob, ArrayBuffer or Uint8Array, got null",
    ],
  ])("%o is refused", async (options, message) => {
    const given = typeof options === "object" && options && !Array.isArray(options) ? { wasmUrl, ...options } : options;
    expect(await refusal(load(given as object))).toMatchObject({
      name: "MobileNetError",
      code: "invalid-option",
      message,
    });
  });

  test("the class looks at its own before anything is fetched", async () => {
    const { code, message } = await refusal(loaded({ weights: `${server.url}/net`, padding: "valid" }));
    expect([code, message]).toEqual(["invalid-option", 'padding: must be "same", got valid']);
    expect(server.asked).not.toContain("/net");
  });

  test("what is not the loader's reaches the class", async () => {
    const { options } = await loaded({
      precision: "int8",
      padding: "same",
      resolution: 64,
      cache: false,
      onProgress() {},
      integrity: undefined,
    });
    expect(options).toEqual({ precision: "int8", padding: "same", resolution: 64 });
  });

  test("normalisation is the old name of normalization", async () => {
    expect((await loaded({ normalisation: { mean: 0, deviation: 255 } })).options).toEqual({
      normalization: { mean: 0, deviation: 255 },
    });
    expect((await loaded({ normalisation: undefined })).options).toEqual({});
  });

  test("the caller's object stays as it was", async () => {
    const options = Object.freeze({
      weights: file,
      variant: "simd128",
      wasmUrl,
      normalisation: { mean: 0, deviation: 1 },
      labels: ["a"],
    });
    await load(options as object);
    expect(Object.keys(options)).toEqual(["weights", "variant", "wasmUrl", "normalisation", "labels"]);
  });

  test("a getter that throws, and a revoked Proxy", async () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    await refusal(load(proxy));
    const thrower = {
      get weights() {
        throw new Error("mine");
      },
    };
    expect((await refusal(load(thrower as object))).message).toBe("mine");
  });
});

describe("the file", () => {
  test("is read by the class as it came", async () => {
    expect((await loaded({ weights: `${server.url}/net` })).bytes).toEqual(file);
    expect((await loaded()).bytes).toEqual(file);
    expect((await loaded({ labels: ["a", "b"] })).options).toEqual({ labels: ["a", "b"] });
  });

  test("without weights it is the one in the package", async () => {
    expect((await refusal(loaded({ weights: undefined }))).message).toMatch(
      /^weights: file:.*default\.safetensors could not be read \(ENOENT/,
    );
  });

  test("what is wrong with it comes with its address", async () => {
    server.files.set("/page.html", text("<!doctype html>")).set("/damaged", text("?"));
    const page = await refusal(loaded({ weights: `${server.url}/page.html` }));
    expect([page.code, page.message]).toEqual([
      "unsupported-format",
      `weights from ${server.url}/page.html: this is a web page`,
    ]);
    const damaged = await refusal(loaded({ weights: `${server.url}/damaged` }));
    expect([damaged.code, damaged.message]).toEqual([
      "corrupt-file",
      `weights from ${server.url}/damaged: the header is damaged`,
    ]);
    expect((await refusal(loaded({ weights: text("?") }))).message).toBe("weights: the header is damaged");
    expect((await refusal(loaded({ weights: new Uint8Array() }))).message).toBe("weights: the file is empty");
    expect(damaged).toBeInstanceOf(MobileNetError);
  });

  test("the kernels are warmed up for the precision asked for, else for the file's, when its first part is there", async () => {
    const native = text('........{"dtype":"I8"}');
    await loaded({ weights: native });
    await loaded({ weights: native, precision: "f32" });
    await loaded();
    await loaded({ precision: "int8" });
    let warm: string[] = [];
    await loaded({ weights: slowResponse(native, { parts: 2 }), onProgress: () => (warm = [...log.warm]) });
    expect(log.warm).toEqual(["int8", "f32", "f32", "int8", "f32"]);
    expect(warm.length).toBe(5);
    const shared = new Uint8Array(new SharedArrayBuffer(native.length));
    shared.set(native);
    await loaded({ weights: shared });
    expect(log.warm.at(-1)).toBe("int8");
  });

  test("TFLite and TF.js are turned into native files by the readers, which nobody else fetches", async () => {
    await loaded({ weights: text('........{"a":1}') });
    await loaded({ weights: text('{.......{"a":1}') });
    expect(log.initialized).toEqual(["simd128"]);
    const tflite = Uint8Array.from([32, 0, 0, 0, ...text("TFL3"), 1, 2, 3]);
    expect((await loaded({ weights: tflite })).bytes).toEqual(Uint8Array.from([78]));
    expect(log.initialized).toEqual(["simd128", "readers"]);
    server.files
      .set("/tfjs/model.json", text('\n {"files":["a.bin","b.bin"]}'))
      .set("/tfjs/a.bin", Uint8Array.of(1, 2))
      .set("/tfjs/b.bin", Uint8Array.of(3));
    expect((await loaded({ weights: `${server.url}/tfjs/model.json` })).bytes).toEqual(Uint8Array.of(78, 1, 2, 3));
    expect(log.initialized).toEqual(["simd128", "readers"]);
  });

  test("one address of the wasm is the build's, not the readers'", async () => {
    const { code, message } = await refusal(loaded({ wasmUrl: wasmUrl.simd128, weights: text('{"files":[]}') }));
    expect(code).toBe("network");
    expect(message).toMatch(/^load: the build "readers" could not be read from file:.*readers\/mobilenet_bg\.wasm/);
  });

  test("what is wrong with a foreign file comes with its address, too", async () => {
    server.files.set("/model.json", text('{"format":"graph"}'));
    const { code, message } = await refusal(loaded({ weights: `${server.url}/model.json` }));
    expect([code, message]).toEqual([
      "corrupt-file",
      `weights from ${server.url}/model.json: TF.js: there is no weightsManifest`,
    ]);
    expect((await refusal(loaded({ weights: text('{"files":["a.bin"]}') }))).message).toMatch(
      /needs the file `a\.bin`/,
    );
  });

  test("a TF.js model comes from the cache as a whole", async () => {
    vi.stubGlobal("caches", memoryCaches());
    server.files.set("/model.json", text('{"files":["a"]}')).set("/a", Uint8Array.of(1));
    for (let i = 0; i < 2; i++)
      expect((await loaded({ weights: `${server.url}/model.json`, cache: true })).bytes).toEqual(Uint8Array.of(78, 1));
    expect(server.asked.filter((path) => !path.endsWith(".wasm"))).toEqual(["/model.json", "/a"]);
  });
});

describe("labels", () => {
  const labelsOf = async (labels: unknown) => (await loaded({ labels })).options.labels;

  test("as they are, or from a text file or a JSON array", async () => {
    server.files.set("/lines.txt", text("cat\r\ndog, hound\nbird\n\n")).set("/names.json", text(' ["cat", "dog"]'));
    expect(await labelsOf(["a"])).toEqual(["a"]);
    for (const labels of [undefined, null]) expect(await labelsOf(labels)).toBeUndefined();
    expect(await labelsOf(`${server.url}/lines.txt`)).toEqual(["cat", "dog, hound", "bird"]);
    expect(await labelsOf(new URL(`${server.url}/names.json`))).toEqual(["cat", "dog"]);
    expect(await labelsOf("data:,one%0Atwo")).toEqual(["one", "two"]);
  });

  test("what is none", async () => {
    server.files.set("/page.html", text("\n<!doctype html>")).set("/bad.json", text('["cat"'));
    const page = await refusal(labelsOf(`${server.url}/page.html`));
    expect([page.code, page.message]).toEqual([
      "unsupported-format",
      `labels: ${server.url}/page.html is a web page, not a list of labels; check the address`,
    ]);
    const bad = await refusal(labelsOf(`${server.url}/bad.json`));
    expect([bad.code, bad.message]).toEqual([
      "corrupt-file",
      expect.stringMatching(/bad\.json is not a JSON array \(.*\); give a text file/),
    ]);
    const none = await refusal(labelsOf(`${server.url}/none.txt`));
    expect([none.code, none.message]).toEqual(["network", `labels: ${server.url}/none.txt answered 404 Not Found`]);
    expect((await refusal(labelsOf("http://127.0.0.1:1/x"))).message).toMatch(
      /^labels: .* could not be fetched \(.*\); check the address, the connection, .*CORS/,
    );
    expect((await refusal(labelsOf(new URL("file:///no/labels.txt")))).message).toMatch(
      /labels: file:\/\/\/no\/labels\.txt could not be read \(ENOENT/,
    );
  });

  test("an aborted load gives the signal's reason", async () => {
    server.files.set("/silent", () => controller.abort(new Error("enough")));
    const controller = new AbortController();
    expect((await refusal(loaded({ labels: `${server.url}/silent`, signal: controller.signal }))).message).toBe(
      "enough",
    );
  });
});

describe("abort", () => {
  test("before the load", async () => {
    expect((await refusal(loaded({ signal: AbortSignal.abort() }))).name).toBe("AbortError");
    expect(server.asked).toEqual([]);
  });

  test("while the module is fetched, which goes on for the next load", async () => {
    const controller = new AbortController();
    server.files.set("/slow.wasm", (response) => {
      controller.abort(new Error("changed my mind"));
      setTimeout(() => response.end(wasm), 50);
    });
    const options = { wasmUrl: `${server.url}/slow.wasm` };
    expect((await refusal(loaded({ ...options, signal: controller.signal }))).message).toBe("changed my mind");
    await loaded(options);
    expect(server.asked.filter((path) => path === "/slow.wasm").length).toBe(1);
  });

  test("while the readers are fetched", async () => {
    const controller = new AbortController();
    server.files.set("/readers.wasm", () => controller.abort(new Error("enough")));
    const urls = { ...wasmUrl, readers: `${server.url}/readers.wasm` };
    expect(
      (await refusal(loaded({ wasmUrl: urls, weights: text('{"files":[]}'), signal: controller.signal }))).message,
    ).toBe("enough");
  });

  test("between the call and the first await", async () => {
    const controller = new AbortController();
    const promise = refusal(loaded({ signal: controller.signal }));
    controller.abort(new Error("at once"));
    expect((await promise).message).toBe("at once");
    expect(log.built).toBe(0);
  });

  test("after the file came, before it is read", async () => {
    const controller = new AbortController();
    const options = {
      weights: file,
      signal: controller.signal,
      onProgress: () => controller.abort(new Error("enough")),
    };
    expect((await refusal(loaded(options))).message).toBe("enough");
    expect(log.built).toBe(0);
  });
});

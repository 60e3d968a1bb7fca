/** Loads a network in this thread: picks the fastest build that runs here, starts it, and gives it the weights. */
import { simd, threads } from "wasm-feature-detect";
import { Guard } from "./crash.js";
import { describe, fail, MobileNetError, reason, tagOf } from "./error.js";
import {
  absolute,
  base,
  checkFetchOptions,
  type DownloadLimits,
  type FetchOptions,
  fetchModel,
  type ModelFile,
  readFile,
} from "./fetch.js";
import { readLabels } from "./labels.js";
import { relaxedSimd } from "./relaxed.js";
import type { MobileNet, NetworkOptions, Source } from "./simd128/mobilenet.js";
import { cosineSimilarity } from "./similarity.js";

export { absolute, cosineSimilarity, fail, fetchModel, MobileNetError, tagOf };

/** The builds: with SIMD, with relaxed SIMD, and with relaxed SIMD and threads. */
export type Variant = "simd128" | "relaxed" | "threads";

export interface LoadOptions extends Omit<NetworkOptions, "labels">, FetchOptions, DownloadLimits {
  /**
   * The model file: its address, a response, or its bytes. Default: the network in the package, 200 classes of everyday
   * things and animals at 128×128 pixels, in int8.
   */
  weights?: Source;
  /** Names of the classes, or the address of a text file (one a line) or JSON array with them. */
  labels?: readonly string[] | string | URL;
  /**
   * Threads to use, 1 to 64, on a cross-origin isolated page. Default 1. The first load that takes the build `threads`
   * starts the threads of the page; a later load can use as many of them, and never more: `net.numThreads` tells.
   */
  numThreads?: number;
  /** Take this build instead of the fastest that runs here, which is `threads` only if `numThreads` is above 1. */
  variant?: Variant;
  /**
   * Where the `.wasm` lies if it is not beside the scripts: one address, or one for each build and for the readers of
   * TFLite and TF.js.
   */
  wasmUrl?: string | URL | Partial<Record<Variant | "readers", string | URL>>;
  /** Run in a Web Worker: the same methods, as promises. */
  worker?: boolean | undefined;
}

interface Modules {
  simd128: typeof import("./simd128/mobilenet.js");
  relaxed: typeof import("./relaxed/mobilenet.js");
  threads: typeof import("./threads/mobilenet.js");
  readers: typeof import("./readers/mobilenet.js");
}

// Every address is spelled out, because bundlers look for exactly this form.
const modules: { [Name in keyof Modules]: [() => Promise<Modules[Name]>, () => URL] } = {
  simd128: [() => import("./simd128/mobilenet.js"), () => new URL("./simd128/mobilenet_bg.wasm", import.meta.url)],
  relaxed: [() => import("./relaxed/mobilenet.js"), () => new URL("./relaxed/mobilenet_bg.wasm", import.meta.url)],
  threads: [() => import("./threads/mobilenet.js"), () => new URL("./threads/mobilenet_bg.wasm", import.meta.url)],
  readers: [() => import("./readers/mobilenet.js"), () => new URL("./readers/mobilenet_bg.wasm", import.meta.url)],
};

/** The builds that run here, the fastest first. */
export async function supportedVariants(): Promise<Variant[]> {
  if (typeof WebAssembly !== "object" || !(await simd())) return [];
  if (!(await relaxedSimd())) return ["simd128"];
  // Shared memory needs a page that is cross-origin isolated, and threads need workers.
  const isShared = globalThis.crossOriginIsolated === true && typeof Worker === "function" && (await threads());
  return [...(isShared ? (["threads"] as const) : []), "relaxed", "simd128"];
}

/** The build asked for, else the fastest that `numThreads` can use. */
async function choose(variant: unknown, numThreads: number): Promise<Variant> {
  if (!Number.isInteger(numThreads) || numThreads < 1 || numThreads > 64) {
    fail("invalid-option", `numThreads: must be a whole number from 1 to 64, got ${describe(numThreads)}`);
  }
  const all: Variant[] = ["simd128", "relaxed", "threads"];
  if (variant !== undefined && !all.includes(variant as Variant)) {
    fail("invalid-option", `variant: must be one of ${all.join(", ")}, got ${describe(variant)}`);
  }
  const supported = await supportedVariants();
  const [fastest] = supported.filter((name) =>
    variant === undefined ? name !== "threads" || numThreads > 1 : name === variant,
  );
  if (fastest) return fastest;
  if (supported.length === 0) {
    fail(
      "unsupported-engine",
      "load: WebAssembly with SIMD is needed, and this engine has none; use a browser of 2023 or later",
    );
  }
  const cure =
    variant === "threads"
      ? "it needs relaxed SIMD and a cross-origin isolated page (the headers COOP and COEP)"
      : "this engine has no relaxed SIMD; leave the variant out";
  return fail("unsupported-engine", `variant: ${describe(variant)} does not run here; ${cure}`);
}

/** A module that runs. Every call into it goes through the guard. */
interface Started<Module> {
  module: Module;
  guard: Guard;
}

const started = new Map<string, Promise<unknown>>();
const guards = new Map<string, Guard>();

/** The module of a build, started once for each address of its wasm. */
function start<Name extends keyof Modules>(
  name: Name,
  wasmUrl: LoadOptions["wasmUrl"],
  numThreads = 1,
): Promise<Started<Modules[Name]>> {
  const isOne = typeof wasmUrl === "string" || tagOf(wasmUrl) === "URL";
  // One address for all is that of a build; the readers keep theirs.
  const own = isOne
    ? name !== "readers" && wasmUrl
    : (wasmUrl as Partial<Record<string, string | URL>> | undefined)?.[name];
  const url = own ? wasmAddress(own as string | URL) : modules[name][1]();
  const key = `${name} ${url.href}`;
  let module = started.get(key) as Promise<Started<Modules[Name]>> | undefined;
  if (!module) {
    module = instantiate(name, url, numThreads);
    started.set(key, module);
    // What failed may work the next time: the connection comes back, the address is corrected.
    module.catch(() => started.delete(key));
  }
  return module;
}

function wasmAddress(address: string | URL): URL {
  try {
    return new URL(address, base());
  } catch (thrown) {
    return fail("invalid-option", `wasmUrl: must be an address, got ${describe(address)}`, thrown);
  }
}

async function instantiate<Name extends keyof Modules>(
  name: Name,
  url: URL,
  numThreads: number,
): Promise<Started<Modules[Name]>> {
  const module = await modules[name][0]();
  const compiled = await compile(url).catch((thrown) => {
    const cure = "check the option wasmUrl, and that the page's policy allows 'wasm-unsafe-eval'";
    return fail(
      "network",
      `load: the build "${name}" could not be read from ${url.href} (${reason(thrown)}); ${cure}`,
      thrown,
    );
  });
  await module.default({ module_or_path: compiled });
  // Addresses may differ, but the generated code keeps one instance.
  let guard = guards.get(name);
  if (!guard) {
    guard = new Guard(() => {
      module.__wbg_reset_state();
      if (name !== "threads") return;
      // The pool is started again with the next load.
      for (const worker of workers.splice(0)) worker.terminate();
      started.clear();
    });
    guards.set(name, guard);
    if ("MobileNet" in module) {
      const prototype = module.MobileNet.prototype as MobileNet & Record<symbol, unknown>;
      guard.protect(prototype);
      // The generated method frees the object, and later calls would fail without a message.
      prototype[Symbol.dispose ?? Symbol.for("Symbol.dispose")] = prototype.dispose;
      Object.assign(module.MobileNet, { cosineSimilarity });
    }
  }
  if (name === "threads") await startThreads(module as Modules["threads"], compiled, numThreads);
  return { module, guard };
}

async function compile(url: URL): Promise<WebAssembly.Module> {
  const file = await readFile(url);
  if (file) return WebAssembly.compile(file as BufferSource);
  const response = await fetch(url);
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  // Another type than application/wasm cannot be compiled while it arrives, but is no reason to fail.
  const isWasm = response.headers.get("content-type")?.startsWith("application/wasm");
  if (isWasm && WebAssembly.compileStreaming) return WebAssembly.compileStreaming(response);
  return WebAssembly.compile(await response.arrayBuffer());
}

// Firefox collects a worker that nobody holds, though it works for the pool.
const workers: Worker[] = [];

/** The pool of threads: this thread and workers that share its memory. */
async function startThreads(module: Modules["threads"], compiled: WebAssembly.Module, count: number): Promise<void> {
  const memory = module.threadMemory();
  const ready = Array.from({ length: count - 1 }, () => {
    const worker = new Worker(new URL("./thread.js", import.meta.url), { type: "module" });
    workers.push(worker);
    return new Promise((resolve, reject) => {
      worker.onmessage = resolve;
      worker.onerror = ({ message }) => {
        reject(
          new MobileNetError(
            "worker",
            `load: a thread could not be started: ${message || "its script could not be loaded"}`,
          ),
        );
      };
      worker.postMessage({ module: compiled, memory });
    });
  });
  await Promise.all(ready);
  module.startThreads(count);
}

/** `load`, in this thread, with options that were checked. */
export async function loadHere(options: LoadOptions): Promise<MobileNet> {
  // What is left goes to the class.
  const { weights, labels, numThreads = 1, variant, wasmUrl, worker: _, ...others } = options;
  const { signal, onProgress, integrity, cache, maxBytes, timeout, normalisation, ...rest } = others;
  const network: NetworkOptions = rest;
  const how = { signal, onProgress, integrity, cache, maxBytes, timeout };
  signal?.throwIfAborted();
  if (normalisation != null) network.normalization ??= normalisation;
  const name = await choose(variant, numThreads);
  // All that has to come over the network comes at once. The signal belongs to this load, not to the module.
  const needed = Promise.all([start(name, wasmUrl, numThreads), readLabels(labels, { signal, maxBytes, timeout })]);
  const [{ module, guard }, given] = await abortable(needed, signal);
  if (given) network.labels = given as string[];
  if (name === "threads") network.numThreads = numThreads;
  // Before anything is fetched.
  guard.run(() => module.checkOptions(network));

  return fetchModel(weights === undefined ? new URL("./default.safetensors", import.meta.url) : weights, how, {
    // The engine optimizes the kernels while the rest of the file arrives.
    begin: (part) =>
      guard.run(() => module.warmUp(network.precision ?? (head(part).includes('"I8"') ? "int8" : "f32"))),
    async finish(file, companions) {
      const bytes = isForeign(file.bytes) ? await toNative(file, companions) : file.bytes;
      signal?.throwIfAborted();
      return about(file, () => guard.run(() => new module.MobileNet(bytes, network)));
    },
  });

  /** The native file of a TFLite or TF.js model, made by a module that is fetched for such models alone. */
  async function toNative(
    file: ModelFile,
    companions: (names: string[]) => Promise<Uint8Array[]>,
  ): Promise<Uint8Array> {
    const { module, guard } = await abortable(start("readers", wasmUrl), signal);
    const files = about(file, () => guard.run(() => module.companionFiles(file.bytes)));
    const parts = await companions(files);
    signal?.throwIfAborted();
    return about(file, () => guard.run(() => module.toNative(file.bytes, files, parts, network)));
  }
}

/** The names of all options; the compiler compares them with the type. */
const names = Object.keys({
  weights: 0,
  labels: 0,
  precision: 0,
  padding: 0,
  activation: 0,
  epsilon: 0,
  normalization: 0,
  resolution: 0,
  numThreads: 0,
  variant: 0,
  wasmUrl: 0,
  worker: 0,
  onProgress: 0,
  signal: 0,
  integrity: 0,
  cache: 0,
  maxBytes: 0,
  timeout: 0,
  normalisation: 0,
} satisfies Record<keyof LoadOptions, 0>);

/** Checks all but the options of the class. */
export function checkOptions(options: LoadOptions): void {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    const cure = typeof options === "string" ? "; give an address as { weights: address }" : "";
    fail("invalid-option", `load: options: must be an object, got ${describe(options)}${cure}`);
  }
  const unknown = Object.keys(options).find((key) => !names.includes(key));
  if (unknown !== undefined) {
    fail("invalid-option", `load: ${unknown}: unknown option; the options are ${names.slice(0, -1).join(", ")}`);
  }
  checkFetchOptions(options);
}

/** Puts the file's address before what is wrong with the file. */
function about<T>({ address }: ModelFile, read: () => T): T {
  try {
    return read();
  } catch (thrown) {
    if (!(thrown instanceof MobileNetError)) throw thrown;
    return fail(thrown.code, `weights${address && ` from ${address}`}: ${thrown.message}`, thrown);
  }
}

/** As much of a file as tells its format and precision, byte by byte. */
const head = (bytes: Uint8Array): string => new TextDecoder("latin1").decode(bytes.slice(0, 2 ** 16));

/** TFLite and TF.js: formats that the class does not read. */
function isForeign(bytes: Uint8Array): boolean {
  const text = head(bytes);
  return text.startsWith("TFL3", 4) || (text[8] !== "{" && /^[ \t\n\f\r]*\{/.test(text));
}

/** The promise's result, or the signal's reason as soon as it is aborted. */
function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal?.reason);
    if (signal?.aborted) stop();
    signal?.addEventListener("abort", stop, { once: true });
    promise.then(resolve, reject).finally(() => signal?.removeEventListener("abort", stop));
  });
}

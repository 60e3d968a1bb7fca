// Loads a network in this thread: picks the fastest build that runs here, starts it, and hands it the weights.

// One function that uses i8x16.relaxed_swizzle; one that waits on a shared memory. Valid only where the engine knows them.
const simd = "BQFgAAF7AwIBAAoKAQgAQQD9D/1iCw";
const relaxed = "BQFgAAF7AwIBAAoPAQ0AQQH9D0EC/Q/9gAIL";
const threads = "BAFgAAADAgEABQQBAwEBCgsBCQBBAP4QAgAaCw";

const valid = (body) => globalThis.WebAssembly?.validate(Uint8Array.from(atob(`AGFzbQEAAAAB${body}`), (char) => char.charCodeAt()));

// Every address is spelled out, because bundlers look for exactly this shape.
const builds = {
  simd128: [() => import("./simd128/mobilenet.js"), () => new URL("./simd128/mobilenet_bg.wasm", import.meta.url)],
  relaxed: [() => import("./relaxed/mobilenet.js"), () => new URL("./relaxed/mobilenet_bg.wasm", import.meta.url)],
  threads: [() => import("./threads/mobilenet.js"), () => new URL("./threads/mobilenet_bg.wasm", import.meta.url)],
};
// What reads TFLite and TF.js; the class asks for it where it meets such a file.
const readers = [() => import("./readers/mobilenet.js"), () => new URL("./readers/mobilenet_bg.wasm", import.meta.url)];

/** What a page's relative addresses are relative to, `<base>` included; nothing in Node. */
export const base = () => globalThis.document?.baseURI ?? globalThis.location?.href;

/** The builds that run here, the fastest first. */
export function supportedVariants() {
  if (!valid(simd)) return [];
  if (!valid(relaxed)) return ["simd128"];
  // Shared memory needs a page that is cross-origin isolated, and threads need workers.
  const shared = globalThis.crossOriginIsolated === true && typeof Worker === "function" && valid(threads);
  return [...(shared ? ["threads"] : []), "relaxed", "simd128"];
}

/** The build to take: the one asked for, else the fastest that `numThreads` can use. */
function choose({ variant, numThreads = 1 }) {
  if (!Number.isInteger(numThreads) || numThreads < 1 || numThreads > 64) {
    throw new Error(`load: numThreads must be a whole number from 1 to 64, not ${String(numThreads)}`);
  }
  const supported = supportedVariants();
  if (!supported.length) throw new Error("load: this browser has no WebAssembly with SIMD; any from 2023 on has");
  if (variant === undefined) return supported.find((name) => name !== "threads" || numThreads > 1);
  if (!builds[variant]) throw new Error(`load: there is no variant "${String(variant)}"; there are ${Object.keys(builds).join(", ")}`);
  if (supported.includes(variant)) return variant;
  const hint = variant === "threads" ? "it needs relaxed SIMD and a cross-origin isolated page (the headers COOP and COEP)" : "this engine has no relaxed SIMD";
  throw new Error(`load: the variant "${variant}" does not run here; ${hint}`);
}

const started = new Map();

/** The module of a build, started once for each address of its wasm. */
function start(variant, wasmUrl, numThreads = 1) {
  const [code, wasm] = builds[variant] ?? readers;
  const own = typeof wasmUrl === "string" || wasmUrl instanceof URL ? variant !== "readers" && wasmUrl : wasmUrl?.[variant];
  const url = own ? new URL(own, base()) : wasm();
  const key = `${variant} ${url.href}`;
  if (!started.has(key)) {
    const module = instantiate(variant, code, url, wasmUrl, numThreads);
    started.set(key, module);
    // What failed may work the next time: the connection comes back, the address is corrected.
    module.catch(() => started.delete(key));
  }
  return started.get(key);
}

async function instantiate(variant, code, url, wasmUrl, numThreads) {
  const module = await code();
  const compiled = await compile(url).catch((error) => {
    throw new Error(`load: the build "${variant}" could not be read from ${url.href}: ${error.message}; see the option wasmUrl`);
  });
  await module.default({ module_or_path: compiled });
  if (variant === "readers") return module;
  module.lendReaders?.(() => start("readers", wasmUrl));
  const { prototype } = module.MobileNet;
  prototype[Symbol.dispose ?? Symbol.for("Symbol.dispose")] = prototype.dispose;
  if (variant === "threads") await startThreads(module, compiled, numThreads);
  return module;
}

async function compile(url) {
  const file = await readFile(url);
  if (file !== url) return WebAssembly.compile(file);
  const response = await fetch(url);
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  // A server that sends another type than application/wasm gets no streaming, but is no reason to fail.
  const type = response.headers.get("content-type") ?? "";
  if (WebAssembly.compileStreaming && type.startsWith("application/wasm")) return WebAssembly.compileStreaming(response);
  return WebAssembly.compile(await response.arrayBuffer());
}

// Firefox collects a worker that nobody holds, though it works for the pool.
const workers = [];

/** The pool of threads: this one and workers that share its memory. */
async function startThreads(module, compiled, count) {
  const memory = module.threadMemory();
  const ready = Array.from({ length: count - 1 }, () => {
    const worker = new Worker(new URL("./thread.js", import.meta.url), { type: "module" });
    workers.push(worker);
    return new Promise((resolve, reject) => {
      worker.onmessage = resolve;
      worker.onerror = (event) => reject(new Error(`load: a thread could not be started: ${event.message ?? "its script could not be loaded"}`));
      worker.postMessage({ module: compiled, memory });
    });
  });
  await Promise.all(ready);
  module.startThreads(count);
}

/** `load` of index.d.ts, without the worker. */
export async function loadHere(options = {}) {
  if (options === null || typeof options !== "object") throw new Error(`load: the options must be an object, not ${typeof options}`);
  // All others go to the class.
  const { weights = new URL("./default.safetensors", import.meta.url), labels, numThreads, variant: _, wasmUrl, worker: __, ...rest } = options;
  const { signal } = rest;
  signal?.throwIfAborted?.();
  const variant = choose(options);
  // All that has to come over the network comes at once. The signal belongs to the load, not to the module.
  const all = Promise.all([start(variant, wasmUrl, numThreads), readLabels(labels, signal), readFile(weights)]);
  const [module, names, source] = await new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    signal?.addEventListener("abort", stop, { once: true });
    all.then(resolve, reject).finally(() => signal?.removeEventListener("abort", stop));
  });
  if (names) rest.labels = names;
  if (variant === "threads") rest.numThreads = numThreads ?? 1;
  return module.MobileNet.load(source, rest);
}

/** Node's fetch reads no files, so an address of one is read here; anything else is given back. */
async function readFile(source) {
  const url = source instanceof URL ? source : typeof source === "string" && source.startsWith("file:") ? new URL(source) : null;
  if (url?.protocol !== "file:" || typeof process === "undefined") return source;
  const fs = await import(/* webpackIgnore: true */ /* @vite-ignore */ "node:fs/promises");
  return fs.readFile(url).catch((error) => {
    throw new Error(`${url.href} could not be read: ${error.message}`);
  });
}

/** Labels are given as they are, or as the address of a text file or a JSON array. */
async function readLabels(labels, signal) {
  if (typeof labels !== "string" && !(labels instanceof URL)) return labels;
  const refuse = (problem) => {
    throw signal?.aborted ? signal.reason : new Error(`labels: ${labels} ${problem}`);
  };
  let text = await readFile(labels);
  if (text instanceof Uint8Array) text = new TextDecoder().decode(text);
  else {
    const response = await fetch(labels, { signal }).catch((error) => refuse(`could not be fetched (${error.message})`));
    if (!response.ok) refuse(`answered ${response.status}`);
    text = await response.text();
  }
  const first = text.trimStart()[0];
  if (first === "<") refuse("is a web page, not a list of labels");
  if (first !== "[") return text.trimEnd().split(/\r?\n/);
  try {
    return JSON.parse(text);
  } catch (error) {
    refuse(`is no JSON array: ${error.message}`);
  }
}

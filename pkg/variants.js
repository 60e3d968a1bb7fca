// The builds, and which of them run here. Nothing happens on import.

// One function that uses i8x16.relaxed_swizzle; one that waits on a shared memory. Valid only where the engine knows them.
const simd = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11];
const relaxed = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11];
const threads = [0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 5, 4, 1, 3, 1, 1, 10, 11, 1, 9, 0, 65, 0, 254, 16, 2, 0, 26, 11];

const valid = (bytes) => typeof WebAssembly === "object" && WebAssembly.validate(new Uint8Array(bytes));

// Every address is spelled out, because bundlers look for exactly this shape.
const builds = {
  simd128: { module: () => import("./simd128/mobilenet.js"), wasm: () => new URL("./simd128/mobilenet_bg.wasm", import.meta.url) },
  relaxed: { module: () => import("./relaxed/mobilenet.js"), wasm: () => new URL("./relaxed/mobilenet_bg.wasm", import.meta.url) },
  threads: { module: () => import("./threads/mobilenet.js"), wasm: () => new URL("./threads/mobilenet_bg.wasm", import.meta.url) },
};

/** The builds that run here, the fastest first. */
export function supportedVariants() {
  const found = [];
  if (!valid(simd)) return found;
  // Threads need shared memory, which a page has only where it is cross-origin isolated, and workers to run in.
  const isolated = globalThis.crossOriginIsolated === true && typeof Worker === "function";
  const fast = valid(relaxed);
  if (fast && isolated && valid(threads)) found.push("threads");
  if (fast) found.push("relaxed");
  found.push("simd128");
  return found;
}

/** The build to take: the one asked for, else the fastest that `numThreads` can use. */
export function choose({ variant, numThreads = 1 }) {
  if (!Number.isInteger(numThreads) || numThreads < 1 || numThreads > 64) {
    throw new Error(`load: numThreads must be a whole number from 1 to 64, not ${String(numThreads)}`);
  }
  const supported = supportedVariants();
  if (!supported.length) throw new Error("load: this browser has no WebAssembly with SIMD; any from 2023 on has");
  if (variant === undefined) return supported.find((name) => name !== "threads" || numThreads > 1);
  if (!builds[variant]) throw new Error(`load: there is no variant "${String(variant)}"; there are ${Object.keys(builds).join(", ")}`);
  if (!supported.includes(variant)) {
    const hint = variant === "threads" ? "it needs relaxed SIMD and a cross-origin isolated page (the headers COOP and COEP)" : "this engine has no relaxed SIMD";
    throw new Error(`load: the variant "${variant}" does not run here; ${hint}`);
  }
  return variant;
}

const started = new Map();

/** The module of a build, started once for each address of its wasm. */
export function start(variant, wasmUrl, numThreads = 1) {
  const own = typeof wasmUrl === "string" || wasmUrl instanceof URL ? wasmUrl : wasmUrl?.[variant];
  // Relative to the page, as any address that a page gives.
  const base = globalThis.location?.href;
  const url = own === undefined ? builds[variant].wasm() : base ? new URL(own, base) : new URL(own);
  const key = `${variant} ${url.href}`;
  if (!started.has(key)) {
    const module = instantiate(variant, url, numThreads);
    started.set(key, module);
    // What failed may work the next time: the connection comes back, the address is corrected.
    module.catch(() => started.delete(key));
  }
  return started.get(key);
}

async function instantiate(variant, url, numThreads) {
  const module = await builds[variant].module();
  let compiled;
  try {
    compiled = await compile(url);
  } catch (error) {
    throw new Error(`load: the build "${variant}" could not be read from ${url.href}: ${error.message}; see the option wasmUrl`);
  }
  await module.default({ module_or_path: compiled });
  module.MobileNet.prototype[Symbol.dispose ?? Symbol.for("Symbol.dispose")] = module.MobileNet.prototype.dispose;
  if (variant === "threads") {
    const { startThreads } = await import("./threads.js");
    await startThreads(module, compiled, numThreads);
  }
  return module;
}

async function compile(url) {
  if (url.protocol === "file:") {
    const { readFile } = await import(/* webpackIgnore: true */ /* @vite-ignore */ "node:fs/promises");
    return WebAssembly.compile(await readFile(url));
  }
  const response = await fetch(url);
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  // A server that sends another type than application/wasm gets no streaming, but is no reason to fail.
  const type = response.headers.get("content-type") ?? "";
  if (WebAssembly.compileStreaming && type.startsWith("application/wasm")) return WebAssembly.compileStreaming(response);
  return WebAssembly.compile(await response.arrayBuffer());
}

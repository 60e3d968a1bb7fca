// Loads a network in this thread: picks a build, starts it, and hands it the weights.
import { choose, start } from "./variants.js";

/** The options that are the loader's own; all others go to the class. */
const own = ["weights", "labels", "numThreads", "variant", "wasmUrl", "worker"];

/** `load` of index.d.ts, without the worker. */
export async function loadHere(options = {}) {
  if (options === null || typeof options !== "object") throw new Error(`load: the options must be an object, not ${typeof options}`);
  const { weights, labels, numThreads, wasmUrl, signal } = options;
  signal?.throwIfAborted?.();
  const variant = choose(options);
  const rest = Object.fromEntries(Object.entries(options).filter(([key]) => !own.includes(key)));
  if (weights === undefined) throw new Error("load: no weights were given; give their address or bytes as `weights`");
  // All that has to come over the network comes at once. The signal belongs to the load, not to the module.
  const [module, names, source] = await abortable(signal, [start(variant, wasmUrl, numThreads), readLabels(labels, signal), readFile(weights)]);
  if (names) rest.labels = names;
  return module.MobileNet.load(source, rest);
}

function abortable(signal, promises) {
  const all = Promise.all(promises);
  if (!signal) return all;
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    all.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}

/** Node's fetch reads no files, so an address of one is read here. */
async function readFile(source) {
  const url = source instanceof URL ? source : typeof source === "string" && source.startsWith("file:") ? new URL(source) : null;
  if (url?.protocol !== "file:" || typeof process === "undefined") return source;
  const fs = await import(/* webpackIgnore: true */ /* @vite-ignore */ "node:fs/promises");
  return fs.readFile(url).catch((error) => {
    throw new Error(`weights: ${url.href} could not be read: ${error.message}`);
  });
}

/** Labels are given as they are, or as the address of a text file or a JSON array. */
async function readLabels(labels, signal) {
  if (typeof labels !== "string" && !(labels instanceof URL)) return labels;
  const file = await readFile(labels);
  let text;
  if (file instanceof Uint8Array) text = new TextDecoder().decode(file);
  else {
    const response = await fetch(labels, { signal }).catch((error) => {
      throw signal?.aborted ? signal.reason : new Error(`labels: ${labels} could not be fetched (${error.message})`);
    });
    if (!response.ok) throw new Error(`labels: ${labels} answered ${response.status}`);
    text = await response.text();
  }
  if (text.trimStart().startsWith("<")) throw new Error(`labels: ${labels} is a web page, not a list of labels`);
  if (!text.trimStart().startsWith("[")) return text.trimEnd().split(/\r?\n/);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`labels: ${labels} is no JSON array: ${error.message}`);
  }
}

// The page of `npm run bench -- --load`: how long a file in memory takes to the first answer, and how large the wasm
// memory is then; and whether it stays so.

import { load } from "/pkg/index.js";
import { layersOf, modelFile } from "./network.js";

/** A native file of that shape, in floats or as the class quantises and saves it: in a worker, whose memory is its own. */
async function bytesOf({ alpha, resolution }, file) {
  const { bytes } = modelFile(alpha, resolution, layersOf(alpha, resolution).layers);
  if (file !== "int8") return bytes;
  const quantiser = await load({ weights: bytes, precision: "int8", worker: true });
  const saved = await quantiser.save();
  quantiser.dispose();
  return saved;
}

const weightsOf = async (file, url) =>
  url ? new Uint8Array(await (await fetch(url)).arrayBuffer()) : bytesOf({ alpha: 1, resolution: 224 }, file);

const picture = { data: new Uint8Array(224 * 224 * 4).map((_, i) => (i * 7919) % 251), width: 224, height: 224 };

async function memory(variant) {
  const { memoryUsed } = await import(`/pkg/${variant}/mobilenet.js`);
  return memoryUsed();
}

/** One load in a page whose module has started and which has seen no other large file. */
window.firstAnswer = async ({ variant, file, url }) => {
  const options = variant === "threads" ? { variant, numThreads: 2 } : { variant };
  const weights = await weightsOf(file, url);
  const small = await load({
    ...options,
    weights: await bytesOf({ alpha: 0.25, resolution: 32 }, file === "int8" ? "int8" : "f32"),
  });
  small.classify(picture, 5);
  small.dispose();
  const before = await memory(variant);
  const start = performance.now();
  const net = await load({ ...options, weights });
  const loaded = performance.now();
  const [first] = net.classify(picture, 5);
  const end = performance.now();
  if (!(first.probability > 0 && first.probability <= 1))
    throw new Error(`bench: the first answer is ${JSON.stringify(first)}`);
  const after = await memory(variant);
  net.dispose();
  return {
    bytes: weights.length,
    load_ms: loaded - start,
    first_answer_ms: end - start,
    memory_before: before,
    memory_after: after,
  };
};

/** The first load of a page, module and all; nothing has run before. */
window.coldAnswer = async ({ variant, file, url }) => {
  const options = variant === "threads" ? { variant, numThreads: 2 } : { variant };
  const weights = await weightsOf(file, url);
  const start = performance.now();
  const net = await load({ ...options, weights });
  net.classify(picture, 5);
  const cold_first_answer_ms = performance.now() - start;
  net.dispose();
  return { cold_first_answer_ms };
};

/** Memory after the first of many loads, after the last, and after many frames. */
window.endurance = async ({ variant, loads, frames }) => {
  const weights = await bytesOf({ alpha: 1, resolution: 224 }, "f32");
  const sizes = {};
  for (let i = 0; i < loads; i++) {
    const net = await load({ variant, weights });
    if (i === 0) net.classify(picture, 5);
    net.dispose();
    if (i === 0) sizes.after_first_load = await memory(variant);
  }
  sizes.after_loads = await memory(variant);
  const net = await load({ variant, weights: await bytesOf({ alpha: 0.25, resolution: 128 }, "f32") });
  net.classify(picture, 5);
  sizes.after_first_frame = await memory(variant);
  for (let i = 0; i < frames; i++) net.classify(picture, 5);
  sizes.after_frames = await memory(variant);
  net.dispose();
  return { loads, frames, ...sizes };
};

window.ready = true;

// The page of `npm run bench -- --load`: how long a file in memory takes to the first answer, and how large the wasm
// memory is then; and whether it stays so.

import { load } from "/pkg/index.js";
import { layersOf, modelFile, safetensors } from "./network.js";

/** The same network with int8 kernels, one scale an output channel, as a native file with a range for every layer. */
function int8File({ alpha, resolution }, values) {
  const parts = [];
  let offset = 0;
  const header = {};
  const add = (name, dtype, shape, bytes) => {
    header[name] = { dtype, shape, data_offsets: [offset, (offset += bytes.byteLength)] };
    parts.push(bytes);
  };
  const packed = values.map(({ name, shape, kernel, bias }) => {
    const scales = new Float32Array(bias.length);
    kernel.forEach((value, index) => (scales[index % scales.length] = Math.max(scales[index % scales.length], Math.abs(value) / 127)));
    return { name, shape, bias, scales, kernel: Int8Array.from(kernel, (value, index) => Math.round(value / scales[index % scales.length])) };
  });
  for (const { name, scales, bias } of packed) {
    add(`${name}/scale`, "F32", [scales.length], scales);
    add(`${name}/bias`, "F32", [bias.length], bias);
  }
  for (const { name, shape, kernel } of packed) add(`${name}/kernel`, "I8", shape, kernel);
  const ranges = Object.fromEntries(values.map(({ name }) => [name, 6]));
  header.__metadata__ = { mobilenet: JSON.stringify({ version: 1, architecture: { alpha, resolution }, ranges }) };
  return safetensors(header, parts);
}

function bytesOf(shape, file) {
  const { bytes, values } = modelFile(shape.alpha, shape.resolution, layersOf(shape.alpha, shape.resolution).layers);
  return file === "int8" ? int8File(shape, values) : bytes;
}

const picture = { data: new Uint8Array(224 * 224 * 4).map((_, i) => (i * 7919) % 251), width: 224, height: 224 };

async function memory(variant) {
  const { memoryUsed } = await import(`/pkg/${variant}/mobilenet.js`);
  return memoryUsed();
}

/** One load in a page whose module has started and which has seen no other large file. */
window.firstAnswer = async ({ variant, file, url }) => {
  const options = variant === "threads" ? { variant, numThreads: 2 } : { variant };
  const weights = url ? new Uint8Array(await (await fetch(url)).arrayBuffer()) : bytesOf({ alpha: 1, resolution: 224 }, file);
  const small = await load({ ...options, weights: bytesOf({ alpha: 0.25, resolution: 32 }, file === "int8" ? "int8" : "f32") });
  small.classify(picture, 5);
  small.dispose();
  const before = await memory(variant);
  const start = performance.now();
  const net = await load({ ...options, weights });
  const loaded = performance.now();
  const [first] = net.classify(picture, 5);
  const end = performance.now();
  if (!(first.probability > 0 && first.probability <= 1)) throw new Error(`bench: the first answer is ${JSON.stringify(first)}`);
  const after = await memory(variant);
  net.dispose();
  return { bytes: weights.length, load_ms: loaded - start, first_answer_ms: end - start, memory_before: before, memory_after: after };
};

/** Memory after the first of many loads, after the last, and after many frames. */
window.endurance = async ({ variant, loads, frames }) => {
  const weights = bytesOf({ alpha: 1, resolution: 224 }, "f32");
  const sizes = {};
  for (let i = 0; i < loads; i++) {
    const net = await load({ variant, weights });
    if (i === 0) net.classify(picture, 5);
    net.dispose();
    if (i === 0) sizes.after_first_load = await memory(variant);
  }
  sizes.after_loads = await memory(variant);
  const net = await load({ variant, weights: bytesOf({ alpha: 0.25, resolution: 128 }, "f32") });
  net.classify(picture, 5);
  sizes.after_first_frame = await memory(variant);
  for (let i = 0; i < frames; i++) net.classify(picture, 5);
  sizes.after_frames = await memory(variant);
  net.dispose();
  return { loads, frames, ...sizes };
};

window.ready = true;

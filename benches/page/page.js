// The page of `npm run bench`: makes a network of random weights, checks its answer, then times it in short rounds,
// the peak loop in the same rounds.

import { load } from "/pkg/index.js";

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

/** Channels of the blocks and strides of their depthwise convolutions: Table 1 of the paper. */
const BLOCKS = [[1, 64], [2, 128], [1, 128], [2, 256], [1, 256], [2, 512], [1, 512], [1, 512], [1, 512], [1, 512], [1, 512], [2, 1024], [1, 1024]];

/** Name, kernel shape and number of multiplied inputs of every layer with weights; and the Mult-Adds of all. */
function layersOf(alpha, resolution) {
  const width = (channels) => Math.max(8, Math.floor(channels * alpha));
  let side = Math.ceil(resolution / 2);
  let channels = width(32);
  const layers = [["conv1", [3, 3, 3, channels], 27]];
  let multAdds = side * side * 27 * channels;
  BLOCKS.forEach(([stride, out], index) => {
    side = Math.ceil(side / stride);
    layers.push([`conv_dw_${index + 1}`, [3, 3, channels, 1], 9], [`conv_pw_${index + 1}`, [1, 1, channels, width(out)], channels]);
    multAdds += side * side * channels * (9 + width(out));
    channels = width(out);
  });
  layers.push(["conv_preds", [1, 1, channels, 1000], channels]);
  return { layers, multAdds: multAdds + channels * 1000 };
}

/** A native model file of weights that keep activations alive (uniform, He's variance), the same every time. */
function modelFile(alpha, resolution, layers) {
  let state = 1;
  const random = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return ((state >>> 0) / 2 ** 32) * 2 - 1;
  };
  const architecture = { alpha, resolution };
  const header = { __metadata__: { mobilenet: JSON.stringify({ version: 1, architecture }) } };
  const parts = [];
  let offset = 0;
  const add = (name, shape, scale) => {
    const values = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => random() * scale);
    header[name] = { dtype: "F32", shape, data_offsets: [offset, (offset += values.byteLength)] };
    parts.push(values);
  };
  for (const [name, shape, terms] of layers) {
    add(`${name}/kernel`, shape, Math.sqrt(6 / terms));
    add(`${name}/bias`, [shape[3] === 1 ? shape[2] : shape[3]], 0.1);
  }
  let json = JSON.stringify(header);
  json += " ".repeat((8 - (json.length % 8)) % 8);
  const bytes = new Uint8Array(8 + json.length + offset);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(new TextEncoder().encode(json), 8);
  let at = 8 + json.length;
  for (const part of parts) {
    bytes.set(new Uint8Array(part.buffer), at);
    at += part.byteLength;
  }
  return bytes;
}

/** A canvas of 640×480 with structure. */
function canvas() {
  const element = new OffscreenCanvas(640, 480);
  const context = element.getContext("2d");
  const gradient = context.createLinearGradient(0, 0, 640, 480);
  ["#234", "#f83", "#3a7", "#fed"].forEach((colour, index) => gradient.addColorStop(index / 3, colour));
  context.fillStyle = gradient;
  context.fillRect(0, 0, 640, 480);
  return element;
}

/** All probabilities, by class. */
function answer(net, frame) {
  const probabilities = new Float32Array(1000);
  for (const { index, probability } of net.classify(frame, 1000)) probabilities[index] = probability;
  return probabilities;
}

/** Throws where the answer is no distribution, or differs from that of the simd128 build, whose bits are the reference's. */
async function check(net, frame, weights, precision) {
  const got = answer(net, frame);
  const sum = got.reduce((a, b) => a + b, 0);
  if (!(Math.abs(sum - 1) < 1e-3)) throw new Error(`bench: probabilities sum to ${sum}`);
  if (net.variant === "simd128") return;
  const plain = await load({ weights, precision, variant: "simd128" });
  const wanted = answer(plain, frame);
  plain.dispose();
  const worst = got.reduce((worst, value, index) => Math.max(worst, Math.abs(value - wanted[index])), 0);
  if (!(worst < 1e-4)) throw new Error(`bench: ${net.variant} differs from simd128 by ${worst}`);
}

window.measure = async ({ alpha, resolution, precision, variant, threads, rounds, peak }) => {
  const { layers, multAdds } = layersOf(alpha, resolution);
  const weights = modelFile(alpha, resolution, layers);
  const options = variant === "threads" ? { numThreads: threads } : {};
  let net;
  try {
    net = await load({ weights, precision, variant, ...options });
  } catch (error) {
    return { absent: error.message };
  }
  const frame = canvas();
  await check(net, frame, weights, precision);
  const { instance } = await WebAssembly.instantiate(new Uint8Array(peak.bytes));
  const times = { network: [], prepare: [] };
  let best = 0;
  const round = (each) => {
    const start = performance.now();
    instance.exports.run(400_000, 0.999);
    best = Math.max(best, (400_000 * 24 * peak.operations) / (performance.now() - start) / 1e6);
    for (let i = 0; i < each; i++) {
      net.classify(frame, 5);
      const { grab, resize, network } = net.timings;
      times.network.push(network);
      times.prepare.push(grab + resize);
    }
  };
  // V8 tiers up late.
  const until = performance.now() + 2500;
  while (performance.now() < until) round(2);
  const each = Math.max(1, Math.round(20 / median(times.network)));
  times.network.length = times.prepare.length = 0;
  for (let i = 0; i < rounds; i++) round(each);
  const min_ms = Math.min(...times.network);
  const gflops = (2 * multAdds) / min_ms / 1e6;
  net.dispose();
  const result = { median_ms: median(times.network), min_ms, gflops, share_of_peak: gflops / (best * threads), prepare_ms: median(times.prepare) };
  return Object.fromEntries(Object.entries(result).map(([key, value]) => [key, Number(value.toPrecision(5))]));
};

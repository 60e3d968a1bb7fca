// The page of `npm run bench`: makes a network of random weights, checks its answer against naive loops (reference.js),
// then times it in short rounds, the peak loop in the same rounds.

import { load } from "/pkg/index.js";
import { layersOf, modelFile } from "./network.js";
import { reference } from "./reference.js";

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

/** A canvas of 640×480 with structure. */
function canvas() {
  const element = new OffscreenCanvas(640, 480);
  const context = element.getContext("2d");
  const gradient = context.createLinearGradient(0, 0, 640, 480);
  ["#234", "#f83", "#3a7", "#fed"].forEach((colour, index) => {
    gradient.addColorStop(index / 3, colour);
  });
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

/** How alike two lists are: the cosine of what remains of each without its mean. */
function likeness(a, b) {
  const centre = (values) => values.map((value) => value - values.reduce((x, y) => x + y, 0) / values.length);
  const dot = (x, y) => x.reduce((sum, value, index) => sum + value * y[index], 0);
  const [x, y] = [centre(a), centre(b)];
  return dot(x, y) / Math.sqrt(dot(x, x) * dot(y, y));
}

/**
 * Throws where the probabilities for a picture of the network's size differ from the naive loops': in floats by a
 * thousandth of the largest one, in int8 by what makes them less alike than LIKE.
 */
function check(net, { values, strides, resolution, precision, variant }) {
  const { mean, deviation } = net.architecture.normalisation;
  const data = new Uint8ClampedArray(resolution * resolution * 4).map((_, i) => {
    const [x, y] = [Math.floor(i / 4) % resolution, Math.floor(i / 4 / resolution)];
    return 128 + 100 * Math.sin((x * (1 + (i % 4))) / 17) * Math.cos(y / 23) + 27 * Math.sin(x * y);
  });
  const wanted = reference(values, strides, data, resolution, { mean, deviation });
  const got = answer(net, { data, width: resolution, height: resolution });
  const largest = wanted.reduce((a, b) => Math.max(a, b));
  const apart = got.reduce((worst, value, index) => Math.max(worst, Math.abs(value - wanted[index])), 0) / largest;
  const alike = likeness([...got].map(Math.log), [...wanted].map(Math.log));
  if (precision === "f32" ? !(apart < 1e-3) : !(alike > LIKE))
    throw new Error(
      `bench: ${variant} in ${precision} answers ${apart} of the largest probability apart from the naive loops, alike ${alike}`,
    );
  return { apart, alike };
}

/** Correlation of log-probabilities below which an int8 network of random weights is wrong, not rounded. */
const LIKE = 0.98;

window.measure = async ({ alpha, resolution, precision, variant, threads, rounds, peak }) => {
  const { layers, strides, multAdds } = layersOf(alpha, resolution);
  const { bytes: weights, values } = modelFile(alpha, resolution, layers);
  const options = variant === "threads" ? { numThreads: threads } : {};
  let net;
  try {
    net = await load({ weights, precision, variant, ...options });
  } catch (error) {
    return { absent: error.message };
  }
  check(net, { values, strides, resolution, precision, variant });
  const frame = canvas();
  const { instance } = await WebAssembly.instantiate(new Uint8Array(peak.bytes));
  const rounds_of = { network: [], prepare: [], share: [], peak: [] };
  /** Operations of the peak loop in a second, in billions. */
  const peakNow = () => {
    const start = performance.now();
    instance.exports.run(400_000, 0.999);
    return (400_000 * 24 * peak.operations) / (performance.now() - start) / 1e6;
  };
  // The clock goes up and down within a second: each round is compared with the peak right before and right after it.
  let before = peakNow();
  const round = (each) => {
    const network = [];
    for (let i = 0; i < each; i++) {
      net.classify(frame, 5);
      const { grab, resize, network: milliseconds } = net.timings;
      network.push(milliseconds);
      rounds_of.prepare.push(grab + resize);
    }
    const after = peakNow();
    rounds_of.network.push(...network);
    rounds_of.peak.push(before, after);
    rounds_of.share.push((2 * multAdds) / median(network) / 1e6 / ((before + after) / 2) / threads);
    before = after;
  };
  // V8 tiers up late.
  const until = performance.now() + 2500;
  while (performance.now() < until) round(2);
  const each = Math.max(1, Math.round(20 / median(rounds_of.network)));
  for (const list of Object.values(rounds_of)) list.length = 0;
  for (let i = 0; i < rounds; i++) round(each);
  const min_ms = Math.min(...rounds_of.network);
  const gflops = (2 * multAdds) / min_ms / 1e6;
  net.dispose();
  const result = {
    median_ms: median(rounds_of.network),
    min_ms,
    gflops,
    share_of_peak: median(rounds_of.share),
    best_share: gflops / Math.max(...rounds_of.peak) / threads,
    prepare_ms: median(rounds_of.prepare),
  };
  return Object.fromEntries(Object.entries(result).map(([key, value]) => [key, Number(value.toPrecision(5))]));
};

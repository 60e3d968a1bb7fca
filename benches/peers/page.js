// The page of the comparison: prepares every contestant of a row, checks their answers against each other, then times
// them in alternating rounds, in an order that changes, so that a change of the machine's speed meets all of them alike.

import { litert, onnx, ours, tfjs } from "./contestants.js";

const now = () => performance.now();
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

/** A picture with structure, the same for everybody. */
function picture(size) {
  const rgba = new Uint8ClampedArray(size * size * 4);
  const rgb = new Uint8Array(size * size * 3);
  for (let i = 0; i < size * size; i++) {
    const [x, y] = [i % size, Math.floor(i / size)];
    const colour = [128 + 100 * Math.sin(x / 17) * Math.cos(y / 23), (x * 255) / size, (y * 200) / size + 20];
    rgba.set([...colour, 255], i * 4);
    rgb.set(rgba.subarray(i * 4, i * 4 + 3), i * 3);
  }
  return { rgba, rgb };
}

const softmax = (values) => {
  const top = Math.max(...values);
  const powers = Array.from(values, (value) => Math.exp(value - top));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
};

/** Probabilities whatever a file ends in: quantised outputs are scaled to sum to one, logits go through softmax. */
function probabilities(values) {
  const sum = values.reduce((a, b) => a + b, 0);
  if (values.some((value) => value < 0) || sum < 0.5) return softmax(values);
  return Array.from(values, (value) => value / sum);
}

const largestDifference = (a, b) => a.reduce((worst, value, i) => Math.max(worst, Math.abs(value - b[i])), 0);

/** Another order every time, the same in every run: what is left in caches, and threads that still spin, meet all alike. */
function shuffler(seed = 1) {
  let state = seed;
  const below = (count) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return ((state / 2 ** 32) * count) | 0;
  };
  return (list) => {
    const order = [...list];
    for (let i = order.length - 1; i > 0; i--) {
      const j = below(i + 1);
      [order[i], order[j]] = [order[j], order[i]];
    }
    return order;
  };
}

async function runFor(contestant, milliseconds) {
  const end = now() + milliseconds;
  do await contestant.run();
  while (now() < end);
}

/**
 * A contestant's inferences are timed after it has run for so long: on two cores the threads of the one before it, which
 * spin for a while yet, would take the place of its own, and those have to be woken.
 */
const SETTLE_MS = 50;

/** Measures one row. `rounds` rounds of `each` inferences a contestant, after `warm` seconds of warming up each. */
window.measure = async function measure({
  row,
  precision,
  threads,
  rounds,
  each,
  warm,
  url,
  litertUrl,
  onnxUrl,
  only,
}) {
  const { rgba, rgb } = picture(row.resolution);
  const options = { row, precision, threads, rgba, rgb, url, litertUrl, onnxUrl };
  const contestants = [];
  const absent = [];
  for (const prepare of [ours, litert, tfjs, onnx]) {
    if (only && !only.includes(prepare.name)) continue;
    const contestant = await prepare(options).catch((error) => ({
      name: prepare.name,
      absent: String(error.message ?? error),
    }));
    if (contestant.absent) absent.push({ name: contestant.name, reason: contestant.absent });
    else contestants.push({ ...contestant, times: [] });
  }

  for (const contestant of contestants) await runFor(contestant, warm * 1000);
  // The first contestant that has an answer is the yardstick; quantised networks differ by their rounding.
  const tolerance = precision === "f32" ? 2e-3 : 0.2;
  let yardstick;
  for (const contestant of contestants) {
    const values = contestant.answer();
    if (values === null) {
      if (!contestant.sane()) throw new Error(`${contestant.name}: the answer makes no sense`);
      continue;
    }
    const found = probabilities(values);
    if (!yardstick) yardstick = found;
    contestant.difference = largestDifference(found, yardstick);
    if (found.length !== yardstick.length || !(contestant.difference <= tolerance))
      throw new Error(`${contestant.name}: answers differ by ${contestant.difference}`);
  }

  const shuffle = shuffler();
  for (let round = 0; round < rounds; round++) {
    for (const contestant of shuffle(contestants)) {
      await runFor(contestant, SETTLE_MS);
      for (let i = 0; i < each; i++) {
        const start = now();
        await contestant.run();
        contestant.times.push(now() - start);
      }
    }
  }
  const results = contestants.map(({ name, times, difference }) => ({
    name,
    median_ms: median(times),
    min_ms: Math.min(...times),
    inferences: times.length,
    difference,
  }));
  return { results, absent };
};

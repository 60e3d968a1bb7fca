// The page of `npm run bench:compare`: two builds of the package take turns on the same network.

import { layersOf, modelFile } from "./network.js";

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

/** A canvas of 640×480 with structure. */
function canvas() {
  const element = document.createElement("canvas");
  [element.width, element.height] = [640, 480];
  const context = element.getContext("2d");
  for (let index = 0; index < 400; index++) {
    context.fillStyle = `hsl(${(index * 47) % 360} 70% ${20 + ((index * 13) % 60)}%)`;
    context.fillRect((index * 97) % 640, (index * 53) % 480, 90, 70);
  }
  return element;
}

/**
 * Ratios of the times of `packages[1]` to those of `packages[0]`: of the network alone and of the whole call from a
 * canvas to the top five. Throws if the answers differ.
 */
window.compare = async ({ packages, alpha, resolution, precision, variant, threads, rounds }) => {
  const { layers } = layersOf(alpha, resolution);
  const { bytes: weights } = modelFile(alpha, resolution, layers);
  const options = { weights, precision, variant, ...(variant === "threads" && { numThreads: threads }) };
  const networks = [];
  for (const address of packages) {
    const { load } = await import(address);
    networks.push(await load({ ...options, weights: weights.slice() }));
  }
  const frame = canvas();
  const answers = networks.map((net) =>
    JSON.stringify(net.classify(frame, 5).map(({ index, probability }) => [index, probability])),
  );
  if (answers[0] !== answers[1]) throw new Error(`the answers differ: ${answers.join(" and ")}`);

  const run = (net, each) => {
    const alone = [];
    const start = performance.now();
    for (let index = 0; index < each; index++) {
      net.classify(frame, 5);
      alone.push(net.timings.network);
    }
    return { alone: median(alone), call: (performance.now() - start) / each };
  };
  // V8 optimizes late.
  const until = performance.now() + 3000;
  while (performance.now() < until) for (const net of networks) run(net, 3);
  const each = Math.max(1, Math.round(15 / run(networks[0], 3).call));
  const times = networks.map(() => ({ alone: [], call: [] }));
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 ? [1, 0] : [0, 1];
    for (const index of order) {
      const { alone, call } = run(networks[index], each);
      times[index].alone.push(alone);
      times[index].call.push(call);
    }
  }
  const ratio = (key) => median(times[1][key].map((time, round) => time / times[0][key][round]));
  const result = {
    network_before_ms: median(times[0].alone),
    network_after_ms: median(times[1].alone),
    network_ratio: ratio("alone"),
    call_before_ms: median(times[0].call),
    call_after_ms: median(times[1].call),
    call_ratio: ratio("call"),
  };
  for (const net of networks) net.dispose();
  return Object.fromEntries(Object.entries(result).map(([key, value]) => [key, Number(value.toPrecision(4))]));
};

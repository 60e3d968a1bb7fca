// The only file that knows the package. Goes in: where a network is and how it is to run; comes out: an Engine that
// looks at frames. Whether the network runs here or in a worker, its methods are awaited, so nobody else need know.

import { fitLabels } from "./labels.js";

/** How a file's colours are scaled, where the file does not say: byte → (byte − mean) / deviation. */
const NORMALISATIONS = {
  signed: { mean: 127.5, deviation: 127.5 },
  unit: { mean: 0, deviation: 255 },
  imagenet: { mean: [123.675, 116.28, 103.53], deviation: [58.395, 57.12, 57.375] },
  bytes: { mean: 0, deviation: 1 },
};

let loading = null;

/** The package, imported once; the page paints and explains itself without it. */
function thePackage() {
  loading ??= import("./pkg/index.js").catch((error) => {
    loading = null;
    const sentence = `The package is not beside this page: build it with “npm run build”, or “npm start”. (${error.message})`;
    throw Object.assign(new Error(sentence), { unbuilt: true });
  });
  return loading;
}

/** The builds that this browser can run, the fastest first. */
export async function builds() {
  return (await thePackage()).supportedVariants();
}

/**
 * Loads a network. `choice`: `{ source: null | File | Uint8Array | string, padding, normalisation, precision, variant,
 * threads, worker }`, each empty string meaning "as the file says" or "as the package chooses".
 */
export async function openNetwork(choice, { onProgress, signal } = {}) {
  const { load } = await thePackage();
  const started = performance.now();
  const options = { onProgress, signal, worker: choice.worker };
  if (choice.source) options.weights = choice.source;
  if (choice.padding) options.padding = choice.padding;
  if (choice.normalisation) options.normalisation = NORMALISATIONS[choice.normalisation];
  if (choice.precision) options.precision = choice.precision;
  if (choice.variant) options.variant = choice.variant;
  if (choice.threads > 1) options.numThreads = choice.threads;
  const net = await load(options);
  const ready = performance.now() - started;
  return new Engine(net, await net.layers(), await canTeach(net), ready, choice);
}

/** Whether the network can be taught in the page. A worker's side has every method, so it is asked for examples. */
async function canTeach(net) {
  if (typeof net.addExample !== "function" || typeof net.train !== "function") return false;
  if (typeof net.examples !== "function") return true;
  return net.examples().then(
    (examples) => examples !== undefined,
    () => false,
  );
}

/** A loaded network and the names it answers with. */
export class Engine {
  #names = null;

  constructor(net, layers, teachable, readyAfter, choice) {
    this.net = net;
    this.layers = layers;
    this.teachable = teachable;
    this.readyAfter = readyAfter;
    this.choice = choice;
  }

  get classes() {
    return this.net.architecture.classes;
  }

  /** Whether its answers have names, the file's own or others. */
  get named() {
    return Boolean(this.#names ?? this.net.labels?.length);
  }

  get multAdds() {
    return this.layers.reduce((sum, layer) => sum + layer.multAdds, 0);
  }

  get parameters() {
    return this.layers.reduce((sum, layer) => sum + layer.parameters, 0);
  }

  /** Gives the classes other names; null returns to the file's own. Throws where their number does not fit. */
  rename(names) {
    const fitted = names && fitLabels(names, this.net.architecture);
    if (names && !fitted) {
      throw new Error(`The list holds ${names.length} names, and the network has ${this.classes} classes.`);
    }
    this.#names = fitted;
  }

  /** The likeliest classes of a frame, and the milliseconds they took: `{ predictions, times }`. */
  async look(frame, { flipped = false, topk = 10 } = {}) {
    const { classes } = this;
    let found;
    try {
      found = await this.net.classify(frame, { topk: Math.min(topk, classes), flipped });
    } catch (error) {
      if (this.classes >= classes) throw error;
      // In the worker it waited behind training, and there are fewer classes now.
      return this.look(frame, { flipped, topk });
    }
    const names = this.#names;
    const predictions = names ? found.map((one) => ({ ...one, className: names[one.index] ?? one.className })) : found;
    return { predictions, times: this.net.timings ?? {} };
  }

  /** Where in the frame the likeliest class was seen. */
  async where(frame, { flipped = false } = {}) {
    return this.net.heatmap(frame, undefined, { flipped });
  }

  async profile(frame, { flipped = false } = {}) {
    return this.net.profile(frame, { flipped });
  }

  dispose() {
    this.net.dispose();
  }
}

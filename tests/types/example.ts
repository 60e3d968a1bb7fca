// Uses everything of the package's types once; `tsc --strict` must accept it, and refuse the lines that say so.
import {
  type Architecture,
  type ClassifyOptions,
  cosineSimilarity,
  type ErrorCode,
  type Frame,
  type Heatmap,
  type LayerCost,
  type LayerTiming,
  type LoadOptions,
  load,
  type MobileNet,
  MobileNetError,
  type MobileNetWorker,
  type Prediction,
  type Progress,
  type Source,
  type SourceOptions,
  supportedVariants,
  type Timings,
  type TrainingLogs,
  type TrainingReport,
  type TrainOptions,
  type Variant,
} from "../../pkg/index.js";

const options: LoadOptions & { worker?: false } = {
  weights: new URL("net.safetensors", document.baseURI),
  labels: ["cat", "dog"],
  numThreads: 2,
  variant: "relaxed",
  wasmUrl: { relaxed: "/wasm/mobilenet_bg.wasm" },
  precision: "int8",
  padding: "same",
  activation: "relu6",
  epsilon: 1e-3,
  resolution: 160,
  normalization: { mean: [127.5, 127.5, 127.5], deviation: 127.5, order: "rgb" },
  onProgress: ({ loaded, total }: Progress) => void (loaded / total),
  signal: new AbortController().signal,
  integrity: "sha256-AAAA",
  cache: true,
};

/** The old name of an option. */
export const older: LoadOptions = { normalisation: { mean: 0, deviation: 255 } };

/** Every kind of source. */
export const sources: Source[] = [
  "net",
  new URL("x:"),
  new Request("x:"),
  new Response(),
  new Blob(),
  new ArrayBuffer(1),
  new Uint8Array(1),
];

/** What `load` takes, but for what is the package's own. */
export const source: SourceOptions = { precision: "f32", cache: "mine", integrity: "sha256-AAAA" };

export const train: TrainOptions = {
  epochs: 5,
  learningRate: 0.1,
  batchSize: 8,
  validationSplit: 0,
  seed: 1,
  onEpoch: (epoch: number, logs: TrainingLogs) => void (epoch + logs.loss),
};

const see: ClassifyOptions = {
  topk: 5,
  scoreThreshold: 0.1,
  allow: ["cat", 3],
  regionOfInterest: { left: 0, top: 0, right: 0.5, bottom: 1 },
  rotationDegrees: 90,
  flipped: true,
  fit: "contain",
  signal: new AbortController().signal,
};

/** Every kind of frame. */
export function frames(
  canvas: HTMLCanvasElement,
  video: HTMLVideoElement,
  bitmap: ImageBitmap,
  coded: VideoFrame,
): Frame[] {
  const bytes = { data: new Uint8Array(4), width: 1, height: 1 };
  return [canvas, video, bitmap, coded, bytes, new OffscreenCanvas(1, 1), new Image(), new ImageData(1, 1)];
}

/** Every method of the class. */
export async function here(frame: Frame): Promise<void> {
  const net: MobileNet = await load(options);
  const predictions: Prediction[] = net.classify(frame);
  const { className, probability, index } = net.classify(frame, 1)[0]!;
  const text: string = `${className} ${probability.toFixed(2)} ${index}`;
  net.classify(frame, see);
  const embedding: Float32Array = net.embed(frame, { fit: "stretch" });
  const similarity: number = cosineSimilarity(embedding, net.embed(frame));
  const heat: Heatmap = net.heatmap(frame, 3, { flipped: true });
  const warmest: number =
    Math.max(...heat.values) * heat.maximum + heat.minimum + heat.width * heat.height + heat.index;
  const timings: LayerTiming[] = net.profile(frame);
  const costs: LayerCost[] = net.layers();
  const [height, width, channels] = costs[0]!.output;
  const architecture: Architecture = net.architecture;
  const labels: string[] = net.labels;
  const precision: "f32" | "int8" = net.precision;
  const variant: Variant = net.variant;
  const times: Timings = net.timings;
  const numbers: number[] = [
    net.numThreads,
    net.memoryBytes,
    times.grab + times.resize + times.network,
    height * width * channels,
  ];
  const gone: boolean = net.disposed;
  await net.addExample("cat", frame);
  const counts: Record<string, number> = net.examples;
  const report: TrainingReport = await net.train(train);
  const saved: Uint8Array = net.save();
  const removed: number = net.removeExamples("cat");
  console.log(counts, report.labels, saved.length + removed);
  net.dispose();
  net[Symbol.dispose]();
  console.log(
    predictions,
    text,
    similarity,
    warmest,
    timings,
    architecture.alpha,
    labels,
    precision,
    variant,
    numbers,
    gone,
  );
  // @ts-expect-error: a misspelt option
  net.classify(frame, { topK: 3 });
  // @ts-expect-error: no frame
  net.classify("cat.png");
  // @ts-expect-error: no such fit
  net.embed(frame, { fit: "zoom" });
}

/** Every method of the worker's client. */
export async function elsewhere(frame: Frame): Promise<void> {
  const net: MobileNetWorker = await load({ weights: new Uint8Array(8), worker: true });
  const [predictions, embedding, heat, timings, costs] = await Promise.all([
    net.classify(frame, 5),
    net.embed(frame),
    net.heatmap(frame),
    net.profile(frame),
    net.layers(),
  ]);
  const builds: Variant[] = await supportedVariants();
  const calls: [
    Promise<number>,
    Promise<number>,
    Promise<Record<string, number>>,
    Promise<TrainingReport>,
    Promise<Uint8Array>,
  ] = [
    net.addExample("cat", frame, { flipped: true }),
    net.removeExamples("cat"),
    net.examples(),
    net.train(train),
    net.save(),
  ];
  const best: Prediction[] = predictions;
  const named: string = `${(await net.classify(frame, see))[0]?.className} ${heat.className} ${timings[0]?.name} ${costs[0]?.kind}`;
  const times: Timings | undefined = net.timings;
  console.log(calls, best, named, times);
  // @ts-expect-error: the memory is the worker's
  net.memoryBytes;
  // @ts-expect-error: a misspelt option
  net.classify(frame, { topK: 3 });
  console.log(
    predictions,
    embedding,
    heat,
    timings,
    costs,
    builds,
    net.architecture,
    net.labels,
    net.precision,
    net.variant,
    net.numThreads,
    net.timings,
    net.disposed,
  );
  net.dispose();
  net[Symbol.dispose]();
  const either: MobileNet | MobileNetWorker = await load(options as LoadOptions);
  either.dispose();
}

/** What an error tells a program. */
export function cure(error: unknown): string {
  if (!(error instanceof MobileNetError)) return "";
  const code: ErrorCode = error.code;
  if (code === "tainted-canvas" || code === "network" || code === "invalid-option") return error.message;
  // @ts-expect-error: no such code
  return code === "none" ? "" : error.name;
}

/** The package: `load` picks the fastest build that runs here, in this thread or in a worker. Import has no side effects. */
import type { MobileNetWorker } from "./client.js";
import type { FetchOptions } from "./fetch.js";
import { checkOptions, type LoadOptions, loadHere } from "./load.js";
import type { MobileNet, NetworkOptions } from "./simd128/mobilenet.js";

export type { MobileNetWorker } from "./client.js";
export type { FetchOptions } from "./fetch.js";
export type { LoadOptions, Variant } from "./load.js";
export { cosineSimilarity, MobileNetError, supportedVariants } from "./load.js";
export type {
  Activation,
  Architecture,
  ChannelOrder,
  ClassifyOptions,
  Convolution,
  ErrorCode,
  Fit,
  Frame,
  FrameOptions,
  Heatmap,
  InputNormalization,
  LayerCost,
  LayerKind,
  LayerTiming,
  MobileNet,
  NetworkOptions,
  Normalization,
  Output,
  Padding,
  Pixels,
  Precision,
  Prediction,
  Progress,
  RegionOfInterest,
  Rounding,
  SelectionOptions,
  Source,
  Timings,
  TrainingLogs,
  TrainingReport,
  TrainOptions,
} from "./simd128/mobilenet.js";

/** How a network is read and run, and how its file is fetched. */
export type SourceOptions = NetworkOptions & FetchOptions;

declare global {
  // As in the library `esnext.disposable`, which nobody should have to ask for.
  interface SymbolConstructor {
    readonly dispose: unique symbol;
  }
}

/**
 * Loads a network with the fastest build that runs here.
 *
 * Rejected with a `MobileNetError` that says what is wrong, or with the signal's reason.
 */
export function load(options: LoadOptions & { worker: true }): Promise<MobileNetWorker>;
export function load(options?: LoadOptions & { worker?: false | undefined }): Promise<MobileNet>;
export function load(options: LoadOptions): Promise<MobileNet | MobileNetWorker>;
export async function load(options: LoadOptions = {}): Promise<MobileNet | MobileNetWorker> {
  checkOptions(options);
  if (!options.worker) return loadHere(options);
  const { loadInWorker } = await import("./client.js");
  return loadInWorker(options);
}

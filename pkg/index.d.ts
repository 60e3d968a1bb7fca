// Types of the package. Those of the class and of everything it takes and gives come from its builds, which all have
// the same ones.
import type {
  ClassifyOptions,
  Frame,
  FrameOptions,
  Heatmap,
  LayerCost,
  LayerTiming,
  Architecture,
  MobileNet,
  Prediction,
  Source,
  SourceOptions,
  Timings,
  TrainOptions,
  TrainingReport,
} from "./simd128/mobilenet.js";

export type {
  Architecture,
  ClassifyOptions,
  Frame,
  FrameOptions,
  Heatmap,
  LayerCost,
  LayerKind,
  LayerTiming,
  MobileNet,
  NetworkOptions,
  Pixels,
  Prediction,
  Progress,
  Source,
  SourceOptions,
  Timings,
  TrainingLogs,
  TrainingReport,
  TrainOptions,
} from "./simd128/mobilenet.js";

/** The builds: without relaxed SIMD, with it, and with it over shared memory. */
export type Variant = "simd128" | "relaxed" | "threads";

export interface LoadOptions extends Omit<SourceOptions, "labels"> {
  /** The model file: its address, a response, or its bytes. Default: the network that ships, 200 classes of everyday things and animals at 128×128 pixels, in int8. */
  weights?: Source;
  /** Names of the classes, or the address of a text file (a line each) or JSON array with them. */
  labels?: readonly string[] | string | URL;
  /**
   * Threads to use, 1 to 64, where the page is cross-origin isolated. Default 1. The first load that takes
   * the build `threads` starts as many as it wants for the page, one where it does not say; a later one uses as many of
   * those as it wants, and never more: `net.numThreads` tells.
   */
  numThreads?: number;
  /** Take this build instead of the fastest that runs here, which is `threads` only where `numThreads` is above 1. */
  variant?: Variant;
  /** Where the `.wasm` lies, where it is not beside the loader: one address, or one for each build and for the readers of TFLite and TF.js. */
  wasmUrl?: string | URL | Partial<Record<Variant | "readers", string | URL>>;
  /** Run in a Web Worker: the same methods, as promises. */
  worker?: boolean | undefined;
}

/**
 * Loads a network with the fastest build that runs here.
 * Refused with an `Error` that says what is wrong, or with the signal's reason.
 */
export function load(options: LoadOptions & { worker: true }): Promise<MobileNetWorker>;
export function load(options?: LoadOptions & { worker?: false | undefined }): Promise<MobileNet>;
export function load(options: LoadOptions): Promise<MobileNet | MobileNetWorker>;

/** The builds that run here, the fastest first. */
export function supportedVariants(): Variant[];

/** Cosine of the angle between two embeddings: 1 alike, 0 unrelated, −1 opposite. */
export function cosineSimilarity(a: ArrayLike<number>, b: ArrayLike<number>): number;

/**
 * A network in a Web Worker. Frames are transferred, never copied twice, and stay the caller's. Of the frames that wait
 * while one is looked at only the newest of each method counts: the promise of a replaced one is refused with an
 * `AbortError`.
 */
export interface MobileNetWorker {
  readonly architecture: Architecture;
  readonly labels: string[];
  readonly precision: "f32" | "int8";
  readonly variant: Variant;
  readonly numThreads: number;
  /** Of the last answer. */
  readonly timings: Timings | undefined;
  readonly disposed: boolean;
  classify(frame: Frame, options?: number | ClassifyOptions): Promise<Prediction[]>;
  embed(frame: Frame, options?: FrameOptions): Promise<Float32Array>;
  heatmap(frame: Frame, index?: number, options?: FrameOptions): Promise<Heatmap>;
  profile(frame: Frame, options?: FrameOptions): Promise<LayerTiming[]>;
  layers(): Promise<LayerCost[]>;
  addExample(label: string, frame: Frame, options?: FrameOptions): Promise<number>;
  removeExamples(label: string): Promise<number>;
  examples(): Promise<Record<string, number>>;
  train(options?: TrainOptions): Promise<TrainingReport>;
  save(): Promise<Uint8Array>;
  /** Ends the worker; what still waits is refused. */
  dispose(): void;
  [Symbol.dispose](): void;
}

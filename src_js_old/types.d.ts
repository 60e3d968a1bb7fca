
/** Bytes of a picture: RGBA, rows from the top, the alpha ignored. An `ImageData` is one. */
export interface Pixels {
  readonly data: Uint8ClampedArray | Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** What the network looks at. It stays the caller's: nothing here closes or changes it. */
export type Frame =
  | HTMLCanvasElement
  | OffscreenCanvas
  | HTMLVideoElement
  | HTMLImageElement
  | ImageBitmap
  | VideoFrame
  | ImageData
  | Pixels;

/** What happens to a frame on its way into the network, in this order. */
export interface FrameOptions {
  /** Part to look at, as fractions (0 to 1) of the frame as it is stored. Default: all of it. */
  regionOfInterest?: { left: number; top: number; right: number; bottom: number };
  /** Turn clockwise by a multiple of 90. Default 0. */
  rotationDegrees?: number;
  /** Left becomes right, after the turn. Default false. */
  flipped?: boolean;
  /** The largest centred square (`cover`, the default), all of it between bars (`contain`), or distorted (`stretch`). */
  fit?: "cover" | "contain" | "stretch";
  /** Where it is aborted already, the call throws its reason and does nothing. */
  signal?: AbortSignal;
}

export interface ClassifyOptions extends FrameOptions {
  /** How many classes at most, best first. Default 3, or all where the network has fewer. */
  topk?: number;
  /** Only classes at least this probable, 0 to 1. Default 0. */
  scoreThreshold?: number;
  /** Only these classes, by name or by index. */
  allow?: readonly (string | number)[];
  /** All classes but these, by name or by index. Not together with `allow`. */
  deny?: readonly (string | number)[];
}

export interface Prediction {
  /** The label, or `class 17` where the network has no labels. */
  className: string;
  /** 0 to 1; over all classes they sum to 1. */
  probability: number;
  /** Position among the network's classes. */
  index: number;
}

/** Class activation map: how much each place of the picture, as the network saw it, speaks for a class. */
export interface Heatmap {
  /** Columns of the map: a 32nd of the resolution, rounded up. */
  width: number;
  height: number;
  /** Row by row, 0 (least) to 1 (most). */
  values: Float32Array;
  /** What 0 and 1 stand for, in units of the class's logit; the mean over the map is the logit without its bias. */
  minimum: number;
  maximum: number;
  /** The class. */
  index: number;
  className: string;
}

/** Milliseconds of the last call that took a frame. */
export interface Timings {
  /** The frame's pixels out of the canvas, the video … into the wasm memory. */
  grab: number;
  /** Cut, turn, mirror, resize, normalise. */
  resize: number;
  /** All layers. */
  network: number;
}

export type LayerKind = "stem" | "depthwise" | "pointwise" | "standard" | "pool" | "classifier";

/** One layer of a profiled run. */
export interface LayerTiming {
  /** As Keras names it: `conv1`, `conv_dw_1`, `conv_pw_1` … */
  name: string;
  kind: LayerKind;
  milliseconds: number;
  multAdds: number;
}

/** What one layer costs, from the shapes alone. */
export interface LayerCost {
  name: string;
  kind: LayerKind;
  /** Height, width, channels. */
  input: [number, number, number];
  output: [number, number, number];
  multAdds: number;
  /** Weights and biases, batch norm folded in. */
  parameters: number;
}

/** What tells one MobileNet from another, save its weights. */
export interface Architecture {
  alpha: number;
  resolution: number;
  classes: number;
  /** Whether class 0 means "none of them". */
  background: boolean;
  padding: "same" | "symmetric";
  activation: "relu" | "relu6" | "none";
  epsilon: number;
  normalisation: { mean: number[]; deviation: number[]; order: "rgb" | "bgr" };
  rounding: "truncate" | "multiple_of8";
  convolution: "separable" | "standard";
  shallow: boolean;
}

/** Bytes of a model file, or where to find them. */
export type Source = string | URL | Request | Response | Blob | ArrayBuffer | Uint8Array;

/**
 * What a file may leave open, and how the network is to run. `padding`, `activation`, `epsilon` and `normalisation` count
 * only where the file is silent; `precision`, `numThreads`, `labels` and `resolution` are choices, and count before the file.
 */
export interface NetworkOptions {
  /**
   * Default: `"int8"` for a native file made for it, else `"f32"`, in which a quantised TFLite file keeps its maker's 8-bit
   * steps. `"int8"` quantises a float file while it loads; of a quantised TFLite file it keeps seven bits of an activation,
   * and is faster.
   */
  precision?: "f32" | "int8";
  /** At most so many of the threads that were started. */
  numThreads?: number;
  /** Names of the classes in order, where the file has none or other ones. */
  labels?: readonly string[];
  padding?: "same" | "symmetric";
  activation?: "relu" | "relu6";
  epsilon?: number;
  normalisation?: { mean: number | number[]; deviation: number | number[]; order?: "rgb" | "bgr" };
  resolution?: number;
}

export interface Progress {
  /** Bytes that have arrived. */
  loaded: number;
  /** Bytes there will be; 0 where the server does not tell. */
  total: number;
}

export interface SourceOptions extends NetworkOptions {
  /** Called for every part that arrives, and once when all is there. */
  onProgress?: (progress: Progress) => void;
  /** Stops the load; the promise is refused with the signal's reason. */
  signal?: AbortSignal;
  /** Subresource integrity: `sha256-…`, `sha384-…` or `sha512-…` of the file; not of one that has others beside it (TF.js). */
  integrity?: string;
  /** Keep the file in the browser's Cache storage, under this name or `mobilenet`. Default false. */
  cache?: boolean | string;
}

/** What `train` may be told. */
export interface TrainOptions {
  /** Passes over the examples. Default 50. */
  epochs?: number;
  /** At the start; it falls to 0. Default 0.01. */
  learningRate?: number;
  /** Examples a step. Default 16. */
  batchSize?: number;
  /** Part of each label's examples, 0 to below 1, that is only tested on. Default 0.15. */
  validationSplit?: number;
  /** The same seed, the same result. Default 0. */
  seed?: number;
  /** After each pass. */
  onEpoch?: (epoch: number, logs: TrainingLogs) => void;
  /** Stops after the pass that runs; the head stays as it was before. */
  signal?: AbortSignal;
}

export interface TrainingLogs {
  loss: number;
  accuracy: number;
  validationLoss?: number;
  validationAccuracy?: number;
}

export interface TrainingReport extends TrainingLogs {
  epochs: number;
  examples: number;
  labels: string[];
  milliseconds: number;
}

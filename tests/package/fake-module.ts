// Stands in for the generated module of a build: keeps what it is given, and refuses what the class would refuse.
import { MobileNetError } from "../../pkg/src/error.ts";

/** What was asked of the modules since the last `reset`. */
export const log = { initialized: [] as string[], warm: [] as string[], built: 0, restarted: 0 };
export const reset = (): void => void Object.assign(log, { initialized: [], warm: [], built: 0, restarted: 0 });

/** What happens when a fresh instance is started. */
export const engine = { restart: (): void => {} };

/** The stand-in of one build; vitest.config.js makes a module of it. */
export const build = (name: string) => ({
  async init({ module_or_path: module }: { module_or_path: WebAssembly.Module }): Promise<void> {
    if (!(module instanceof WebAssembly.Module)) throw new Error("no compiled module");
    log.initialized.push(name);
  },
  ...classOf(name),
});

/** Each build has a class with methods of its own, and counts its instances as the generated code does. */
function classOf(name: string) {
  let instance = 0;
  class Build extends MobileNet {
    variant = name;
    constructor(bytes: Uint8Array, options?: Record<string, unknown>) {
      super(bytes, options);
      Object.defineProperty(this, "__wbg_inst", { value: instance });
    }
  }
  const { constructor: _, ...methods } = Object.getOwnPropertyDescriptors(MobileNet.prototype);
  Object.defineProperties(Build.prototype, methods);
  const __wbg_reset_state = () => {
    instance++;
    log.restarted++;
    engine.restart();
  };
  return { MobileNet: Build, __wbg_reset_state };
}

export const warmUp = (precision: string): void => void log.warm.push(precision);

/** An error as the class makes them: of no JavaScript class. */
const refusal = (code: string, message: string) => Object.assign(new Error(message), { name: "MobileNetError", code });

export function checkOptions({ padding = "same" }: { padding?: unknown }): void {
  if (padding !== "same") throw refusal("invalid-option", `padding: must be "same", got ${padding}`);
}

class MobileNet {
  numThreads = 1;
  precision = "f32";
  architecture = { alpha: 1 };
  labels = ["a", "b"];
  timings = { grab: 0, resize: 0, network: 1 };
  examples = { cat: 2 };
  #isDisposed = false;
  calls: unknown[][] = [];

  constructor(
    readonly bytes: Uint8Array,
    readonly options: Record<string, unknown> = {},
  ) {
    checkOptions(options);
    if (bytes[0] === 33) throw new WebAssembly.RuntimeError("unreachable");
    if (bytes.length === 0) throw refusal("corrupt-file", "the file is empty");
    if (bytes[0] === 60) throw refusal("unsupported-format", "this is a web page");
    if (bytes[0] === 63) throw refusal("corrupt-file", "the header is damaged");
    log.built++;
  }

  classify(...args: unknown[]): unknown {
    this.calls.push(["classify", ...args]);
    const [frame] = args as [{ width?: number; data?: Uint8Array; [Symbol.toStringTag]?: string }];
    try {
      void frame?.width;
    } catch (thrown) {
      throw (thrown as Error).name === "SecurityError" ? refusal("tainted-canvas", "frame: it is tainted") : thrown;
    }
    if (frame?.width === 70000)
      throw refusal("invalid-frame", "frame: the browser could not draw it: not of type CanvasImageSource");
    if (!frame?.data)
      throw refusal(
        "invalid-frame",
        `frame: no picture: ${typeof frame} ${frame?.[Symbol.toStringTag]} ${JSON.stringify(frame)}`,
      );
    return [{ className: "cat", probability: frame.data[0], index: frame.data.length }];
  }

  embed(frame: { data: Uint8Array }): Float32Array {
    return Float32Array.from(frame.data);
  }

  addExample(label: string, frame: { data: Uint8Array }): number {
    this.calls.push(["addExample", label, frame.data[0]]);
    return this.calls.length;
  }

  layers(): unknown[] {
    return this.calls.map((call) => call.slice(0, 3));
  }

  save(): never {
    throw new TypeError("nothing to save");
  }

  async train({
    epochs = 2,
    onEpoch,
    signal,
  }: {
    epochs?: number;
    onEpoch?: (...data: unknown[]) => void;
    signal?: AbortSignal;
  } = {}): Promise<unknown> {
    for (let epoch = 0; epoch < epochs; epoch++) {
      onEpoch?.(epoch, { loss: 1 });
      await new Promise((resolve) => setTimeout(resolve));
      signal?.throwIfAborted();
    }
    this.labels = ["cat", "dog"];
    return { epochs };
  }

  dispose(): void {
    this.#isDisposed = true;
  }

  get disposed(): boolean {
    return this.#isDisposed;
  }
}

// ---- the readers ----

/** Of `{"files": [...]}` the names, of TFLite none. */
export function companionFiles(bytes: Uint8Array): string[] {
  const text = new TextDecoder().decode(bytes);
  if (text.slice(4, 8) === "TFL3") return [];
  const { files } = JSON.parse(text);
  if (!files) throw refusal("corrupt-file", "TF.js: there is no weightsManifest");
  return files;
}

/** The parts one after the other, with a byte before them. */
export function toNative(_: Uint8Array, names: string[], parts: Uint8Array[], options: object): Uint8Array {
  if (names.length !== parts.length || !options) throw new MobileNetError("corrupt-file", "parts are missing");
  if (parts.some((part) => part[0] === 63)) throw refusal("corrupt-file", "TF.js: a shard is damaged");
  return Uint8Array.from([78, ...parts.flatMap((part) => [...part])]);
}

// ---- the threads ----

export const threadMemory = (): object => ({});
export const startThreads = (): void => {};

/**
 * The page's side of `load({ worker: true })`: the class's methods as promises.
 *
 * The worker has one call at a time. Of the frames that wait only the newest of each method counts, so that a camera
 * that is faster than the network never fills a queue. Examples, training and saving wait their turn and are never
 * dropped. A call has its place in the queue from the moment it is made, even if its frame takes a while to be copied.
 */
import { type Captured, capture, tainted } from "./frame.js";
import { absolute, fail, fetchModel, type LoadOptions, MobileNetError, tagOf } from "./load.js";
import type { ErrorCode, MobileNet } from "./simd128/mobilenet.js";

/** For each method: which argument is a frame, which one is options and with what callback; `isLatest` drops older calls. */
const methods = {
  classify: { frame: 0, options: 1, isLatest: true },
  embed: { frame: 0, options: 1, isLatest: true },
  heatmap: { frame: 0, options: 2, isLatest: true },
  profile: { frame: 0, options: 1, isLatest: true },
  addExample: { frame: 1, options: 2 },
  train: { options: 0, callback: "onEpoch" },
  layers: {},
  removeExamples: {},
  save: {},
} as const satisfies Partial<Record<keyof MobileNet, Method>>;

interface Method {
  frame?: number;
  options?: number;
  callback?: string;
  isLatest?: boolean;
}

type Promised<T> = {
  [Name in keyof T]: T[Name] extends (...args: infer Args) => infer Result
    ? (...args: Args) => Promise<Awaited<Result>>
    : never;
};
type Facts = "architecture" | "labels" | "precision" | "variant" | "numThreads" | "disposed";

/**
 * A network in a Web Worker. Frames stay the caller's. If calls wait, only the newest of each method that takes a frame
 * counts (except `addExample`): the promise of a replaced one is rejected with an `AbortError`.
 */
export interface MobileNetWorker
  extends Promised<Pick<MobileNet, keyof typeof methods>>,
    Readonly<Pick<MobileNet, Facts>> {
  /** Of the last answer. */
  readonly timings: MobileNet["timings"] | undefined;
  /** How many examples each label has. */
  examples(): Promise<MobileNet["examples"]>;
  /** Ends the worker; calls that still wait are rejected with an `AbortError`. */
  dispose(): void;
  [Symbol.dispose](): void;
}

/** What is posted to the worker. */
export type WorkerRequest =
  | {
      id: number;
      method: string;
      args: unknown[];
      /** The argument that is the `Description` of a frame. */
      described: number | undefined;
      /** Whether a `WorkerAnswer` with an event is wanted. */
      hasCallback: boolean;
    }
  | { abort: number; reason: string | undefined };

/** What the worker posts: an event of a call, or its end. */
export type WorkerAnswer = { id: number } & (
  | { event: unknown[] }
  | { value: unknown; timings: unknown; facts: object | undefined }
  | { error: unknown; code?: ErrorCode | undefined }
);

interface Call {
  id: number;
  method: string;
  args: unknown[];
  callback: ((...args: unknown[]) => void) | undefined;
  /** The argument that is the frame, and the frame. */
  place?: number | undefined;
  captured?: Captured | Promise<Captured>;
  isPosted?: boolean;
  /** Why a call that the worker has was aborted; what a callback threw ends it even if the worker has finished. */
  reason?: { value: unknown; isThrown?: boolean };
  resolve(value: unknown): void;
  reject(reason: unknown): void;
}

const aborted = (message: string) => new DOMException(message, "AbortError");

/** `load`, in a worker. */
export async function loadInWorker({
  worker: _,
  signal,
  onProgress,
  ...options
}: LoadOptions): Promise<MobileNetWorker> {
  signal?.throwIfAborted();
  if (typeof Worker !== "function") {
    fail("unsupported-engine", "worker: this engine has no Web Workers; leave out the option worker");
  }
  const sent: Record<string, unknown> = options;
  // The worker has an address of its own, so relative ones are resolved here.
  for (const key of ["weights", "labels", "wasmUrl"]) sent[key] = resolved(sent[key]);
  if (typeof sent.wasmUrl === "object" && sent.wasmUrl !== null) {
    sent.wasmUrl = Object.fromEntries(Object.entries(sent.wasmUrl).map(([build, url]) => [build, resolved(url)]));
  }
  // What cannot be posted is read here.
  if (/^(Request|Response)$/.test(tagOf(options.weights))) {
    const { maxBytes, timeout } = options;
    sent.weights = await fetchModel(
      options.weights,
      { signal, onProgress, maxBytes, timeout },
      { finish: ({ bytes }) => bytes },
    );
  }
  const client = new Client(new Worker(new URL("./worker.js", import.meta.url), { type: "module" }));
  try {
    await client.send("load", { options: 0, callback: "onProgress" }, [{ ...sent, signal, onProgress }]);
    return client as unknown as MobileNetWorker;
  } catch (error) {
    client.dispose();
    throw error;
  }
}

const resolved = (url: unknown): unknown =>
  typeof url === "string" || tagOf(url) === "URL" ? absolute(String(url)) : url;

class Client {
  timings: unknown = undefined;
  disposed = false;
  readonly #worker: Worker;
  #ids = 0;
  #current: Call | undefined;
  #waiting: Call[] = [];

  constructor(worker: Worker) {
    this.#worker = worker;
    worker.onmessage = ({ data }: MessageEvent<WorkerAnswer>) => this.#receive(data);
    worker.onerror = (event) => {
      event.preventDefault();
      this.#end(
        new MobileNetError(
          "worker",
          `worker: it failed (${event.message || "its script could not be loaded"}); load the network again`,
        ),
      );
    };
  }

  /** Gives a call its place in the queue, and its answer. */
  async send(method: string, about: Method, given: unknown[]): Promise<unknown> {
    const args = [...given];
    const { signal, callback } = detach(args, about);
    if (this.disposed) fail("disposed", "MobileNet was disposed; load it again");
    signal?.throwIfAborted();
    return new Promise((resolve, reject) => {
      const call: Call = { id: ++this.#ids, method, args, callback, resolve, reject };
      if (about.frame !== undefined) {
        call.place = about.frame;
        call.captured = capture(args[about.frame]);
        // A call may be dropped before anybody waits for its frame.
        Promise.resolve(call.captured).catch(() => {});
        args[about.frame] = undefined;
      }
      if (signal) {
        const stop = () => this.#abort(call, signal.reason);
        const settled =
          <T>(settle: (value: T) => void) =>
          (value: T) => {
            signal.removeEventListener("abort", stop);
            settle(value);
          };
        signal.addEventListener("abort", stop, { once: true });
        call.resolve = settled(resolve);
        call.reject = settled(reject);
      }
      if (about.isLatest) {
        const older = this.#waiting.find((other) => other.method === method);
        if (older) this.#drop(older, aborted(`a newer frame replaced this one before ${method} came to it`));
      }
      this.#waiting.push(call);
      this.#next();
    });
  }

  /** Rejects a call that the worker does not have, or will not answer. */
  #drop(call: Call, reason: unknown): void {
    this.#waiting = this.#waiting.filter((other) => other !== call);
    if (this.#current === call) this.#current = undefined;
    if (!call.isPosted) Promise.resolve(call.captured).then(close, () => {});
    call.reject(reason);
  }

  async #next(): Promise<void> {
    const call = this.#waiting[0];
    if (this.#current || !call) return;
    this.#waiting.shift();
    this.#current = call;
    try {
      const captured = await call.captured;
      // The call was aborted, or the network disposed of, in the meantime.
      if (this.#current !== call) return;
      this.#post(call, captured);
    } catch (thrown) {
      if (this.#current !== call) return;
      this.#drop(call, thrown);
      this.#next();
    }
  }

  #post(call: Call, captured: Captured | undefined): void {
    const { id, method, args, callback, place } = call;
    if (captured && place !== undefined) args[place] = captured.frame;
    const described = captured?.isDescribed ? place : undefined;
    const request: WorkerRequest = { id, method, args, described, hasCallback: callback !== undefined };
    try {
      this.#worker.postMessage(request, captured?.transfer ?? []);
      call.isPosted = true;
    } catch (thrown) {
      // Only now do browsers tell that a frame is another origin's.
      if (captured?.transfer.length && isCloneable(args.filter((_, index) => index !== place))) {
        close(captured);
        this.#post(call, tainted);
        return;
      }
      const problem = (thrown as Error).message;
      fail("invalid-argument", `${method}: it cannot be sent to the worker (${problem}); give plain objects`, thrown);
    }
  }

  #receive(answer: WorkerAnswer): void {
    const call = this.#current;
    if (call?.id !== answer.id) return;
    if ("event" in answer) {
      try {
        call.callback?.(...answer.event);
      } catch (thrown) {
        // As without a worker: what a callback throws ends the call.
        this.#abort(call, thrown);
        call.reason = { value: thrown, isThrown: true };
      }
      return;
    }
    this.#current = undefined;
    const { reason } = call;
    if ("value" in answer) {
      this.timings = answer.timings;
      Object.assign(this, answer.facts);
    }
    if (reason && ("error" in answer || reason.isThrown)) call.reject(reason.value);
    else if ("error" in answer) {
      const { error, code } = answer;
      call.reject(code ? new MobileNetError(code, String(error)) : error);
    } else call.resolve(answer.value);
    this.#next();
  }

  #abort(call: Call, reason: unknown): void {
    if (!call.isPosted) {
      this.#drop(call, reason);
      this.#next();
      return;
    }
    // The worker answers once more and tells whether it stopped in time: what was trained is trained.
    const abort: WorkerRequest = {
      abort: call.id,
      reason: reason instanceof DOMException ? undefined : String(reason),
    };
    this.#worker.postMessage(abort);
    call.callback = undefined;
    call.reason ??= { value: reason };
    if (call.method === "load" || (methods as Record<string, Method>)[call.method]?.isLatest) call.reject(reason);
  }

  #end(reason: unknown): void {
    if (this.disposed) return;
    this.disposed = true;
    this.#worker.terminate();
    for (const call of [this.#current, ...this.#waiting]) if (call) this.#drop(call, reason);
  }

  dispose(): void {
    this.#end(aborted("MobileNet was disposed"));
  }
}

const prototype = Client.prototype as unknown as Record<string | symbol, unknown>;
prototype[Symbol.dispose ?? Symbol.for("Symbol.dispose")] = prototype.dispose;
for (const [name, about] of Object.entries({ ...methods, examples: {} })) {
  prototype[name] = function (this: Client, ...args: unknown[]) {
    return this.send(name, about, args);
  };
}

/** Takes out of the options what cannot be posted: the signal and the callback stay on this side. */
function detach(
  args: unknown[],
  { options: place = -1, callback: name = "" }: Method,
): { signal?: AbortSignal; callback?: Call["callback"] } {
  const given = args[place];
  if (typeof given !== "object" || given === null || Array.isArray(given)) return {};
  const options: Record<string, unknown> = { ...given };
  args[place] = options;
  const take = (key: string, isTaken: (value: unknown) => boolean) => {
    const value = (given as typeof options)[key];
    if (!isTaken(value)) return undefined;
    delete options[key];
    return value;
  };
  const signal = take("signal", (value) => value == null || tagOf(value) === "AbortSignal");
  const callback = take(name, (value) => typeof value === "function");
  return { signal, callback } as ReturnType<typeof detach>;
}

function close(captured: Captured | undefined): void {
  (captured?.frame as Partial<ImageBitmap> | undefined)?.close?.();
}

function isCloneable(value: unknown): boolean {
  try {
    structuredClone(value);
    return true;
  } catch {
    return false;
  }
}

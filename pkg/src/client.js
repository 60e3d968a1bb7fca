// The page's side of `load({ worker: true })`: the class's methods as promises.
//
// One call is with the worker at a time. Of the frames that wait, only the newest of each method counts: a camera that
// is faster than the network never fills a queue. Examples, training and saving wait their turn and are never dropped.
// A call stands in the line from the moment it is made, though its frame may take a while to be taken.

import { base } from "./load.js";

const latest = ["classify", "embed", "heatmap", "profile"];
const patient = ["layers", "addExample", "removeExamples", "examples", "train", "save"];
const takesFrame = new Set([...latest, "addExample"]);
const aborted = (text) => new DOMException(text, "AbortError");

/** `load` of index.d.ts, in a worker. */
export async function loadInWorker({ worker: _, signal, onProgress, ...options }) {
  signal?.throwIfAborted();
  if (typeof Worker !== "function") throw new Error("load: there are no Web Workers here; leave out `worker`");
  // The worker has its own address, so that relative ones are resolved here; what cannot travel is read here.
  for (const key of ["weights", "labels", "wasmUrl"]) options[key] = absolute(options[key]);
  const { weights, wasmUrl } = options;
  if (weights instanceof Request) options.weights = await fetch(weights, { signal }).then(body);
  else if (weights instanceof Response) options.weights = await body(weights);
  if (wasmUrl?.constructor === Object) {
    options.wasmUrl = Object.fromEntries(Object.entries(wasmUrl).map(([build, url]) => [build, absolute(url)]));
  }
  const client = new Client(new Worker(new URL("./worker.js", import.meta.url), { type: "module" }));
  try {
    await client.send("load", [{ ...options, onProgress: onProgress && true }], { signal, events: { onProgress } });
    return client;
  } catch (error) {
    client.dispose();
    throw error;
  }
}

async function body(response) {
  if (!response.ok) throw new Error(`weights: ${response.url} answered ${response.status} ${response.statusText}`.trimEnd());
  return response.blob();
}

const absolute = (url) => (typeof url === "string" || url instanceof URL ? new URL(url, base()).href : url);

class Client {
  #worker;
  #ids = 0;
  #current = null;
  #waiting = [];
  timings = undefined;
  disposed = false;

  constructor(worker) {
    this.#worker = worker;
    worker.onmessage = ({ data }) => this.#receive(data);
    worker.onerror = (event) => {
      event.preventDefault?.();
      this.#end(new Error(`the worker failed: ${event.message ?? "its script could not be loaded"}`));
    };
  }

  /** Puts a call in the line; gives its answer. `frame`, or the promise of one, goes along as argument number `place`. */
  send(method, args, { signal, events = {}, frame, place } = {}) {
    return new Promise((resolve, reject) => {
      const call = { id: ++this.#ids, method, args, events, frame, place };
      if (this.disposed) return this.#drop(call, reject, new Error("this MobileNet was disposed; load it again"));
      if (signal?.aborted) return this.#drop(call, reject, signal.reason);
      const stop = () => this.#abort(call, signal.reason);
      signal?.addEventListener("abort", stop, { once: true });
      const settle = (how) => (value) => {
        signal?.removeEventListener("abort", stop);
        how(value);
      };
      Object.assign(call, { resolve: settle(resolve), reject: settle(reject) });
      if (latest.includes(method)) {
        const replaced = this.#waiting.findIndex((other) => other.method === method);
        const [old] = replaced < 0 ? [] : this.#waiting.splice(replaced, 1);
        if (old) this.#drop(old, old.reject, aborted(`a newer frame replaced this one before ${method} came to it`));
      }
      this.#waiting.push(call);
      this.#next();
    });
  }

  #drop(call, reject, reason) {
    Promise.resolve(call.frame).then((frame) => frame?.close?.(), () => {});
    reject(reason);
  }

  async #next() {
    if (this.#current || !this.#waiting.length) return;
    const call = (this.#current = this.#waiting.shift());
    const { id, method, args, place } = call;
    let frame;
    try {
      frame = await call.frame;
      // Aborted or disposed of in the meantime.
      if (this.#current !== call) return;
      const whole = frame ? Object.assign([...args], { [place]: frame }) : args;
      this.#worker.postMessage({ id, method, args: whole }, frame?.close ? [frame] : ArrayBuffer.isView(frame?.data) ? [frame.data.buffer] : []);
      call.posted = true;
    } catch (error) {
      if (this.#current !== call) return;
      this.#current = null;
      this.#drop(call, call.reject, error.name === "DataCloneError" ? unsent(call, frame, error) : error);
      this.#next();
    }
  }

  #receive({ id, event, data, value, error, timings, facts }) {
    const call = this.#current;
    if (call?.id !== id) return;
    if (event) return call.events[event]?.(...data);
    this.#current = null;
    if (timings) this.timings = timings;
    Object.assign(this, facts);
    if (error) call.reject(call.reason ?? error);
    else call.resolve(value);
    this.#next();
  }

  #abort(call, reason) {
    const waits = this.#waiting.indexOf(call);
    if (waits >= 0) return this.#drop(...this.#waiting.splice(waits, 1), call.reject, reason);
    if (!call.posted) {
      this.#current = null;
      this.#drop(call, call.reject, reason);
      return this.#next();
    }
    // It is with the worker, which answers once more and tells whether it stopped in time: what was taught is taught.
    this.#worker.postMessage({ abort: { id: call.id, reason: reason instanceof DOMException ? undefined : String(reason) } });
    call.events = {};
    if (patient.includes(call.method)) call.reason = reason;
    else call.reject(reason);
  }

  #end(reason) {
    if (this.disposed) return;
    this.disposed = true;
    this.#worker.terminate();
    const calls = [this.#current, ...this.#waiting].filter(Boolean);
    this.#current = null;
    this.#waiting = [];
    for (const call of calls) this.#drop(call, call.reject, reason);
  }

  dispose() {
    this.#end(aborted("this MobileNet was disposed"));
  }
}

Client.prototype[Symbol.dispose ?? Symbol.for("Symbol.dispose")] = Client.prototype.dispose;

for (const method of [...latest, ...patient]) {
  Client.prototype[method] = async function (...args) {
    const options = args.findLast((value, index) => index > 0 && value?.signal) ?? (method === "train" ? args[0] : undefined);
    const { signal, onEpoch } = options ?? {};
    // Neither a signal nor a function can be posted; the call carries both.
    const sent = args.map((value) => (value === options && value ? { ...value, signal: undefined, ...(onEpoch && { onEpoch: true }) } : value));
    if (!takesFrame.has(method) || this.disposed) return this.send(method, sent, { signal, events: { onEpoch } });
    const place = method === "addExample" ? 1 : 0;
    const frame = snapshot(args[place]);
    // A clone of the frame would be made for nothing.
    sent[place] = undefined;
    return this.send(method, sent, { signal, frame, place });
  };
}

/** Why a call could not be posted: the frame is another origin's, which browsers tell only now, or an argument cannot travel. */
function unsent({ method, args }, frame, { message }) {
  try {
    if (frame?.close && structuredClone(args)) return new Error(tainted);
  } catch {
    // It was not the frame.
  }
  return new Error(`${method}: it cannot be sent to the worker: ${message}`);
}

const tainted =
  'frame: it comes from another origin, so the page may not read it (a tainted canvas); set crossOrigin = "anonymous" on the image or video, and let its server send Access-Control-Allow-Origin';

/** A frame that may be given away, or the promise of one, taken now, so that what the caller does next changes nothing. */
function snapshot(frame) {
  const kind = Object.prototype.toString.call(frame).slice(8, -1);
  try {
    if (kind === "VideoFrame") return frame.clone();
    if (frame?.data && frame.data.slice) return { data: frame.data.slice(), width: frame.width, height: frame.height };
    if (kind === "HTMLImageElement" && !frame.naturalWidth) return refuse("the image has not loaded, or is broken; wait for `await image.decode()`");
    if (kind === "HTMLVideoElement" && frame.readyState < 2) return refuse("the video has no picture yet; wait for its `loadeddata` event");
    if (/^(HTML(Canvas|Image|Video)Element|OffscreenCanvas|ImageBitmap)$/.test(kind)) {
      if (!(frame.width || frame.videoWidth || frame.naturalWidth)) {
        return refuse(kind === "ImageBitmap" ? "the ImageBitmap was closed; classify it before `close()`" : "it is empty, so there is nothing to look at; wait until it has a picture");
      }
      const bitmap = createImageBitmap(frame).catch(explain);
      // It may be dropped before anybody waits for it.
      bitmap.catch(() => {});
      return bitmap;
    }
  } catch (error) {
    explain(error);
  }
  return refuse(`${frame === null ? "null" : typeof frame} is no picture; give a canvas, video, image, ImageBitmap, VideoFrame, ImageData or { data, width, height }`);
}

function explain(error) {
  if (error.name === "SecurityError") throw new Error(tainted);
  throw error instanceof DOMException ? new Error(`frame: the browser could not take it: ${error.message}`) : error;
}

function refuse(sentence) {
  throw new Error(`frame: ${sentence}`);
}

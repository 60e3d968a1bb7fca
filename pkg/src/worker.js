// The worker's side of `load({ worker: true })`: holds one network and answers one message at a time.
//
//   in:  { id, method, args }  { abort: id }       out: { id, value | error, timings, facts }  { id, event, data }
//
// `facts` are what the page's side shows as properties, sent when they are new: after loading and teaching.
import { loadHere } from "./load.js";

let net;
const controllers = new Map();
const emit = (id, event) => (...data) => postMessage({ id, event, data });

const methods = {
  async load(id, options, signal) {
    if (options.onProgress) options.onProgress = emit(id, "onProgress");
    net = await loadHere({ ...options, signal });
  },
  train(id, options = {}, signal) {
    if (options.onEpoch) options.onEpoch = emit(id, "onEpoch");
    return net.train({ ...options, signal });
  },
  examples: () => net.examples,
};

// A frame that was transferred is the worker's, so that it closes it.
async function call(id, method, args, signal) {
  if (methods[method]) return methods[method](id, args[0], signal);
  try {
    return await net[method](...args);
  } finally {
    for (const value of args) if (typeof value?.close === "function") value.close();
  }
}

/** What can cross over to the page: the error itself, or its name and its sentence. */
function crossing(error) {
  try {
    return structuredClone(error);
  } catch {
    return new Error(String(error?.message ?? error));
  }
}

function facts() {
  const { architecture, labels, precision, variant, numThreads } = net;
  return { architecture, labels, precision, variant, numThreads };
}

function buffers(value) {
  const found = [value, value?.values].find((part) => ArrayBuffer.isView(part));
  return found && found.buffer instanceof ArrayBuffer ? [found.buffer] : [];
}

addEventListener("message", async ({ data: { id, method, args, abort } }) => {
  if (abort !== undefined) return controllers.get(abort.id)?.abort(abort.reason);
  const controller = new AbortController();
  controllers.set(id, controller);
  try {
    const value = await call(id, method, args, controller.signal);
    const news = method === "load" || method === "train" ? facts() : undefined;
    postMessage({ id, value, timings: net.timings, facts: news }, buffers(value));
  } catch (error) {
    postMessage({ id, error: crossing(error) });
  } finally {
    controllers.delete(id);
  }
});

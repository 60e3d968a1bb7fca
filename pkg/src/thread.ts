/** One thread of the pool: a worker that shares the page's wasm memory. */
import init, { runThread } from "./threads/mobilenet.js";

addEventListener(
  "message",
  async ({ data: { module, memory } }) => {
    await init({ module_or_path: module, memory });
    postMessage("ready");
    runThread();
  },
  { once: true },
);

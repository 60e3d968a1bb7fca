// Starts the pool of threads of the build "threads": this thread and workers that share its memory.

// Firefox collects a worker that nobody holds, though it works for the pool.
const workers = [];

export async function startThreads(module, compiled, count) {
  const memory = module.threadMemory();
  const ready = Array.from({ length: count - 1 }, () => {
    const worker = new Worker(new URL("./thread.js", import.meta.url), { type: "module" });
    workers.push(worker);
    return new Promise((resolve, reject) => {
      worker.onmessage = resolve;
      worker.onerror = (event) => reject(new Error(`load: a thread could not be started: ${event.message ?? "its script could not be loaded"}`));
      worker.postMessage({ module: compiled, memory });
    });
  });
  await Promise.all(ready);
  module.startThreads(count);
}

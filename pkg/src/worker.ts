/** The worker's side of `load({ worker: true })`: holds one network and answers one call at a time. */
import type { WorkerAnswer, WorkerRequest } from "./client.js";
import { type Description, revive, withReason } from "./frame.js";
import { type LoadOptions, loadHere, MobileNetError } from "./load.js";
import type { MobileNet } from "./simd128/mobilenet.js";

let net: MobileNet | undefined;
const controllers = new Map<number, AbortController>();

const post = (answer: WorkerAnswer, transfer: Transferable[] = []) => postMessage(answer, { transfer });

addEventListener("message", async ({ data }: MessageEvent<WorkerRequest>) => {
  if ("abort" in data) {
    controllers.get(data.abort)?.abort(data.reason);
    return;
  }
  const { id } = data;
  const controller = new AbortController();
  controllers.set(id, controller);
  try {
    const value = await call(data, controller.signal);
    post({ id, value, timings: net?.timings, facts: facts(data.method) }, buffers(value));
  } catch (thrown) {
    post({ id, ...crossing(thrown) });
  } finally {
    controllers.delete(id);
  }
});

async function call(
  { id, method, args, described, hasCallback }: Exclude<WorkerRequest, { abort: number }>,
  signal: AbortSignal,
): Promise<unknown> {
  const description = described === undefined ? undefined : (args[described] as Description);
  if (description) args[described ?? 0] = revive(description);
  if (method === "examples") return net?.examples;
  if (method === "load" || method === "train") {
    const [given = {}] = args;
    const callback = hasCallback && {
      [method === "load" ? "onProgress" : "onEpoch"]: (...event: unknown[]) => post({ id, event }),
    };
    // What is not an object is for the class to refuse.
    const options = typeof given === "object" && !Array.isArray(given) ? { signal, ...given, ...callback } : given;
    if (method === "train") return net?.train(options);
    net = await loadHere(options as LoadOptions);
    return undefined;
  }
  try {
    return await (net as unknown as Record<string, (...args: unknown[]) => unknown>)[method]?.(...args);
  } catch (thrown) {
    throw description ? withReason(thrown, description) : thrown;
  } finally {
    // A frame that was transferred is the worker's.
    for (const value of args) (value as Partial<ImageBitmap> | undefined)?.close?.();
  }
}

/** What the page's side shows as properties; they change with loading and training. */
function facts(method: string): object | undefined {
  if (!net || (method !== "load" && method !== "train")) return undefined;
  const { architecture, labels, precision, variant, numThreads } = net;
  return { architecture, labels, precision, variant, numThreads };
}

/** What can cross over to the page: code and message of the package's own errors, any other error as it is. */
function crossing(thrown: unknown): { error: unknown; code?: MobileNetError["code"] } {
  if (thrown instanceof MobileNetError) return { error: thrown.message, code: thrown.code };
  try {
    return { error: structuredClone(thrown) };
  } catch {
    return { error: new Error(String(thrown)) };
  }
}

function buffers(value: unknown): Transferable[] {
  const views = [value, (value as { values?: unknown } | undefined)?.values].filter(ArrayBuffer.isView);
  return views.map(({ buffer }) => buffer).filter((buffer) => buffer instanceof ArrayBuffer);
}

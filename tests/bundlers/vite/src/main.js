// Classifies a frame in one of the ways that the page's address asks for: `?variant=threads&numThreads=2&worker=1`;
// `shipped=1` takes the network of the package.
import { load } from "mobilenet-wasm";

const query = new URLSearchParams(location.search);
const options = { numThreads: Number(query.get("numThreads") ?? 1), worker: query.has("worker") };
if (!query.has("shipped")) options.weights = new URL("/net.safetensors", location.href);
if (query.has("variant")) options.variant = query.get("variant");

try {
  const net = await load(options);
  const data = new Uint8Array(await (await fetch("/frame.rgba")).arrayBuffer());
  const found = await net.classify({ data, width: 40, height: 30 }, 3);
  globalThis.answer = { found, variant: net.variant, numThreads: net.numThreads };
} catch (error) {
  globalThis.answer = { error: String(error) };
}

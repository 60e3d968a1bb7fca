// The package: `load` picks the fastest build that runs here, in this thread or in a worker. Import has no side effects.
import { loadHere } from "./load.js";

export { supportedVariants } from "./load.js";

/** Loads a network; see index.d.ts. */
export async function load(options) {
  if (!options?.worker) return loadHere(options);
  const { loadInWorker } = await import("./client.js");
  return loadInWorker(options);
}

/** Cosine of the angle between two embeddings: 1 alike, 0 unrelated, −1 opposite. */
export function cosineSimilarity(a, b) {
  if (!a || !b || a.length !== b.length) {
    throw new Error(`cosineSimilarity: the embeddings have ${a?.length} and ${b?.length} values; only those of one network can be compared`);
  }
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    ab += a[i] * b[i];
    aa += a[i] * a[i];
    bb += b[i] * b[i];
  }
  const lengths = Math.sqrt(aa * bb);
  if (!Number.isFinite(lengths)) throw new Error("cosineSimilarity: an embedding has a value that is not a finite number");
  return lengths > 0 ? Math.max(-1, Math.min(1, ab / lengths)) : 0;
}

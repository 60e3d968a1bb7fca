import { describe, fail } from "./error.js";

/** Cosine of the angle between two embeddings: 1 alike, 0 unrelated, −1 opposite. */
export function cosineSimilarity(a: ArrayLike<number>, b: ArrayLike<number>): number {
  for (const embedding of [a, b] as unknown[]) {
    if (typeof embedding !== "object" || typeof (embedding as ArrayLike<number> | null)?.length !== "number") {
      fail(
        "invalid-argument",
        `cosineSimilarity: an embedding must be an array of numbers, got ${describe(embedding)}`,
      );
    }
  }
  if (a.length !== b.length) {
    fail(
      "invalid-argument",
      `cosineSimilarity: embeddings must have the same length, got ${a.length} and ${b.length} values; compare embeddings of one network`,
    );
  }
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i] as number, b[i] as number];
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  const lengths = Math.sqrt(aa * bb);
  if (!Number.isFinite(lengths)) {
    fail(
      "invalid-argument",
      "cosineSimilarity: embeddings must hold finite numbers only, got one with NaN or infinity",
    );
  }
  return lengths > 0 ? Math.max(-1, Math.min(1, ab / lengths)) : 0;
}

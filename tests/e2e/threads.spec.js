// However many threads share a network's rows, its answers are the same to the bit.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "./fixtures.js";

const built = existsSync(fileURLToPath(new URL("../../pkg/threads", import.meta.url)));
test.skip(!built, "pkg/threads is not built");

/** Embeddings and all probabilities of a few frames, on a new page: a page starts its threads once. */
async function answers(page, precision, numThreads) {
  await page.goto("/bench/blank.html");
  return page.evaluate(
    async ({ precision, numThreads }) => {
      const { load } = await import("/pkg/index.js");
      const { layersOf, modelFile } = await import("/bench/network.js");
      const { bytes } = modelFile(0.25, 160, layersOf(0.25, 160).layers);
      const net = await load({ weights: bytes, precision, variant: "threads", numThreads });
      const seen = { threads: net.numThreads, answers: [] };
      for (let frame = 1; frame <= 5; frame++) {
        const data = new Uint8ClampedArray(160 * 160 * 4).map((_, i) => (i * i * frame) % 251);
        const image = { data, width: 160, height: 160 };
        seen.answers.push([...net.embed(image)], net.classify(image, 1000));
        // Long enough for idle threads to go to sleep.
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      net.dispose();
      return seen;
    },
    { precision, numThreads },
  );
}

for (const precision of ["f32", "int8"]) {
  test(`one, two and three threads give the same bits in ${precision}`, async ({ page }) => {
    const one = await answers(page, precision, 1);
    expect(one.threads).toBe(1);
    expect(new Set(one.answers[0]).size, "different values in an embedding").toBeGreaterThan(100);
    for (const numThreads of [2, 3]) {
      const several = await answers(page, precision, numThreads);
      expect(several.threads).toBe(numThreads);
      expect(several.answers).toEqual(one.answers);
    }
  });
}

test("later loads use as many of the page's threads as they ask for", async ({ page }) => {
  await page.goto("/bench/blank.html");
  const seen = await page.evaluate(async () => {
    const { load } = await import("/pkg/index.js");
    const { layersOf, modelFile } = await import("/bench/network.js");
    const { bytes: weights } = modelFile(0.25, 64, layersOf(0.25, 64).layers);
    const data = new Uint8ClampedArray(64 * 64 * 4).map((_, i) => (i * i) % 251);
    const image = { data, width: 64, height: 64 };
    const seen = [];
    for (const numThreads of [3, 2, 5, 1]) {
      for (const precision of ["f32", "int8"]) {
        const net = await load({ weights, precision, variant: "threads", numThreads });
        seen.push({ precision, threads: net.numThreads, answer: JSON.stringify(net.classify(image, 1000)) });
        net.dispose();
      }
    }
    return seen;
  });
  expect(seen.map(({ threads }) => threads)).toEqual([3, 3, 2, 2, 3, 3, 1, 1]);
  for (const precision of ["f32", "int8"]) {
    const answers = seen.filter((one) => one.precision === precision).map(({ answer }) => answer);
    expect(new Set(answers).size).toBe(1);
  }
});

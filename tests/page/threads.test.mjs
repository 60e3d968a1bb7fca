// In the browser as natively: however many threads share a network's rows out, its answers are the same to the bit.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { root } from "../../scripts/lib/shell.mjs";
import { serve } from "../../scripts/serve.mjs";
import { launch } from "./helpers.mjs";

let server, browser;

before(async () => {
  server = await serve({ port: 0, mounts: { "/bench/": join(root, "benches/page") } });
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.close();
});

/** Embeddings and all probabilities of a few frames, in a page of its own, for a pool is started once a page. */
async function answers(precision, numThreads) {
  const page = await browser.newPage();
  try {
    await page.goto(`${server.url}bench/blank.html`);
    return await page.evaluate(
      async ({ precision, numThreads }) => {
        const { load } = await import("/pkg/index.js");
        const { layersOf, modelFile } = await import("/bench/network.js");
        const { bytes } = modelFile(0.25, 160, layersOf(0.25, 160).layers);
        const net = await load({ weights: bytes, precision, variant: "threads", numThreads });
        const seen = { threads: net.numThreads, answers: [] };
        for (let frame = 1; frame <= 5; frame++) {
          const data = new Uint8ClampedArray(160 * 160 * 4).map((_, i) => (i * i * frame) % 251);
          const picture = { data, width: 160, height: 160 };
          seen.answers.push([...net.embed(picture)], net.classify(picture, 1000));
          // Long enough for threads without work to fall asleep.
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
        net.dispose();
        return seen;
      },
      { precision, numThreads },
    );
  } finally {
    await page.close();
  }
}

for (const precision of ["f32", "int8"]) {
  test(`one, two and three threads give the same bits in ${precision}`, { skip: !existsSync(join(root, "pkg/threads")) && "the threads build is missing" }, async () => {
    const alone = await answers(precision, 1);
    assert.equal(alone.threads, 1);
    assert.ok(new Set(alone.answers[0]).size > 100, "an embedding of many values");
    for (const numThreads of [2, 3]) {
      const shared = await answers(precision, numThreads);
      assert.equal(shared.threads, numThreads);
      assert.deepEqual(shared.answers, alone.answers);
    }
  });
}

test("later loads use as many of the page's threads as they want", { skip: !existsSync(join(root, "pkg/threads")) && "the threads build is missing" }, async () => {
  const page = await browser.newPage();
  try {
    await page.goto(`${server.url}bench/blank.html`);
    const seen = await page.evaluate(async () => {
      const { load } = await import("/pkg/index.js");
      const { layersOf, modelFile } = await import("/bench/network.js");
      const { bytes: weights } = modelFile(0.25, 64, layersOf(0.25, 64).layers);
      const picture = { data: new Uint8ClampedArray(64 * 64 * 4).map((_, i) => (i * i) % 251), width: 64, height: 64 };
      const seen = [];
      for (const numThreads of [3, 2, 5, 1]) {
        for (const precision of ["f32", "int8"]) {
          const net = await load({ weights, precision, variant: "threads", numThreads });
          seen.push({ precision, threads: net.numThreads, answer: JSON.stringify(net.classify(picture, 1000)) });
          net.dispose();
        }
      }
      return seen;
    });
    assert.deepEqual(seen.map(({ threads }) => threads), [3, 3, 2, 2, 3, 3, 1, 1]);
    for (const precision of ["f32", "int8"]) {
      assert.equal(new Set(seen.filter((one) => one.precision === precision).map(({ answer }) => answer)).size, 1);
    }
  } finally {
    await page.close();
  }
});

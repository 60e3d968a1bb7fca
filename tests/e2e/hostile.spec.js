// What a page, a file or a trap may not do: end the networks of others, or need a reload.
import { expect, test } from "./fixtures.js";

const variants = ["simd128", "relaxed", "threads"];

for (const variant of variants) {
  test(`a trap in ${variant} ends its networks, and the next load works`, async ({ page }) => {
    await page.goto("/bench/blank.html");
    const seen = await page.evaluate(async (variant) => {
      const { load } = await import("/pkg/index.js");
      const options = { variant, numThreads: variant === "threads" ? 2 : 1 };
      const frame = { data: new Uint8Array(64 * 64 * 4).map((_, i) => i * i), width: 64, height: 64 };
      const answer = (net) => JSON.stringify(net.classify(frame));
      const [first, second] = [await load(options), await load(options)];
      const right = answer(second);
      first.__wbg_ptr = 0xfffffff0; // memory out of bounds
      const errors = [first, second, second].map((net) => {
        try {
          return answer(net);
        } catch ({ name, code }) {
          return `${name} ${code}`;
        }
      });
      second.dispose();
      const fresh = await load(options);
      return { errors, isRight: answer(fresh) === right, disposed: second.disposed };
    }, variant);
    expect(seen).toEqual({ errors: Array(3).fill("MobileNetError crashed"), isRight: true, disposed: true });
  });
}

test("random calls in Chromium, with getters that throw, call back and dispose", async ({ page }) => {
  await page.goto("/bench/blank.html");
  const result = await page.evaluate(async () => {
    const { load } = await import("/pkg/index.js");
    const { fuzzClass } = await import("/fuzz/calls.js");
    const weights = await (await fetch("/pkg/default.safetensors")).arrayBuffer();
    const canvas = () => Object.assign(document.createElement("canvas"), { width: 20, height: 10 });
    const closed = await createImageBitmap(new ImageData(4, 4));
    closed.close();
    const frames = [
      canvas,
      () => new OffscreenCanvas(5, 5),
      () => new ImageData(3, 3),
      () => new Image(),
      () => document.createElement("video"),
      () => closed,
    ];
    return fuzzClass({ load: () => load({ weights }), count: 1000, seed: 1, frames });
  });
  expect(result).toMatchObject({ traps: 0, stuck: 0, wrong: 0, strange: 0 });
  expect(result.answers).toBeGreaterThan(100);
});

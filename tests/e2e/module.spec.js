// A page that imports one build by itself, without the package's loader.
import { expect, test } from "./fixtures.js";

test("a build by itself answers as the package does", async ({ page }) => {
  await page.goto("/bench/blank.html");
  const { alone, packaged } = await page.evaluate(async () => {
    const { load } = await import("/pkg/index.js");
    const { default: init, MobileNet } = await import("/pkg/relaxed/mobilenet.js");
    await init();
    const weights = await (await fetch("/pkg/default.safetensors")).arrayBuffer();
    const data = new Uint8ClampedArray(128 * 128 * 4).map((_, i) => (i * i) % 251);
    const frame = { data, width: 128, height: 128 };
    const look = (net) => ({
      precision: net.precision,
      embedding: [...net.embed(frame)],
      all: net.classify(frame, 200),
    });
    const options = { precision: "f32" }; // of a file in int8
    return {
      alone: look(await MobileNet.load(weights, options)),
      packaged: look(await load({ ...options, weights, variant: "relaxed" })),
    };
  });
  expect(alone).toEqual(packaged);
  expect(alone.precision).toBe("f32");
});

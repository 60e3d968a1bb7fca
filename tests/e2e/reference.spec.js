// Real networks in every build: each probability of each photograph as the reference implementation has it.
// The package reads what a page may load directly; Keras' file is converted first (convert.setup.js).
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { expect, test } from "./fixtures.js";
import { missing, shared } from "./reference-data.js";

const TOLERANCE = 1e-4;

test.skip(!shared, missing);
const photos = shared ? Object.keys(JSON.parse(readFileSync(`${shared}/photos/classes.json`, "utf8"))) : [];

test.beforeEach(({ page }) => page.goto("/bench/blank.html"));

/** The tensor `probabilities` (float32) of a reference file, one row for each photograph. */
function expectedRows(name) {
  const bytes = readFileSync(`${shared}/weights/expected/${name}.safetensors`);
  const length = Number(bytes.readBigUInt64LE(0));
  const { shape, data_offsets: range } = JSON.parse(bytes.subarray(8, 8 + length)).probabilities;
  const [rows, classes] = shape;
  expect(rows).toBe(photos.length);
  const [begin, end] = range.map((offset) => bytes.byteOffset + 8 + length + offset);
  const values = new Float32Array(bytes.buffer.slice(begin, end));
  return Array.from({ length: rows }, (_, row) => [...values.subarray(row * classes, (row + 1) * classes)]);
}

const tflite = (name) => `/weights/tflite/${name}.tflite`;
const tfjs = (name) => `/weights/tfjs/${name}_0.25_224/model.json`;
const timm = "/weights/timm/mobilenetv1_100.safetensors";
const normalisation = { mean: 128, deviation: 128 };

const large = [
  { weights: timm, expected: "timm_mobilenetv1_100_same", options: { padding: "same", normalisation } },
  { weights: timm, expected: "timm_mobilenetv1_100_symmetric", options: { padding: "symmetric", normalisation } },
  { weights: "/converted/keras.safetensors", expected: "keras_mobilenet_1_0_224" },
];
const small = [
  { weights: tflite("mbnet128_0.25_f"), expected: "tflite_0.25_128_float", size: "128/" },
  { weights: tflite("mobilenet_v1_0.25_224_f32"), expected: "tflite_0.25_224_float" },
  { weights: tflite("mobilenet_v1_0.25_224_f16"), expected: "tflite_0.25_224_float16" },
  { weights: tfjs("layers_f32"), expected: "keras_0.25_224" },
  { weights: tfjs("graph_f32"), expected: "keras_0.25_224" },
];
// Networks with the 8-bit steps of their makers: how many photographs must have the reference's best class.
const quantized = [
  { weights: tflite("mobilenet_v1_1.0_224_int8"), expected: "tflite_1.0_224_int8", agreeing: 55 },
  { weights: tflite("mobilenet_v1_0.25_224_int8"), expected: "tflite_0.25_224_int8", agreeing: 52 },
  { weights: tflite("mobilenet_v1_0.25_128_quant"), expected: "tflite_0.25_128_uint8", size: "128/", agreeing: 52 },
  { weights: tflite("mbnet128_0.25_q"), expected: "tflite_0.25_128_int8", size: "128/", agreeing: 52 },
];

/** Classifies every photograph: the largest difference, and the number of photographs with another best class. */
async function compare(page, variant, { weights, expected, options, size = "" }) {
  return page.evaluate(
    async ({ weights, rows, options, photos, size }) => {
      const { load } = await import("/pkg/index.js");
      const net = await load({ weights, ...options });
      let difference = 0;
      let disagreeing = 0;
      for (const [row, photo] of photos.entries()) {
        const blob = await (await fetch(`/photos/${size}${photo}`)).blob();
        const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
        const wanted = rows[row];
        const found = net.classify(bitmap, wanted.length);
        bitmap.close();
        for (const { index, probability } of found) {
          difference = Math.max(difference, Math.abs(probability - wanted[index]));
        }
        if (found[0].index !== wanted.indexOf(Math.max(...wanted))) disagreeing++;
      }
      const { variant } = net;
      net.dispose();
      return { difference, disagreeing, variant };
    },
    { weights, rows: expectedRows(expected), options: { ...options, variant }, photos, size },
  );
}

function note(description) {
  test.info().annotations.push({ type: "measured", description });
}

for (const network of quantized) {
  test(`relaxed: ${network.weights} as ${network.expected}`, async ({ page }) => {
    const { disagreeing } = await compare(page, "relaxed", network);
    note(`${photos.length - disagreeing} of ${photos.length} agree`);
    expect(photos.length - disagreeing).toBeGreaterThanOrEqual(network.agreeing);
  });
}

// Compared with the network that they were rounded from: a byte for a weight keeps less of it than half a float.
for (const [name, allowed] of [
  ["layers_f16", 1],
  ["layers_u8", photos.length / 2],
]) {
  test(`relaxed: ${tfjs(name)} loads and answers`, async ({ page }) => {
    const { disagreeing } = await compare(page, "relaxed", { weights: tfjs(name), expected: "keras_0.25_224" });
    note(`${photos.length - disagreeing} of ${photos.length} agree`);
    expect(disagreeing).toBeLessThanOrEqual(allowed);
  });
}

test.describe("a TF.js model of several files", () => {
  test.use({ provoked: /Failed to load resource/ });

  test("is loaded from the cache without its server, and takes no integrity", async ({ page }) => {
    const load = (options = {}) =>
      page.evaluate(async (options) => {
        const { load } = await import("/pkg/index.js");
        const weights = "../weights/tfjs/layers_f32_0.25_224/model.json";
        try {
          const net = await load({ weights, cache: "mobilenet-test-tfjs", variant: "simd128", ...options });
          net.dispose();
          return "loaded";
        } catch (error) {
          return error.message;
        }
      }, options);
    expect(await load()).toBe("loaded");
    await page.route("**/weights/tfjs/**", (route) => route.abort());
    expect(await load()).toBe("loaded");
    await page.evaluate(() => caches.delete("mobilenet-test-tfjs"));
    expect(await load()).toMatch(/could not be fetched/);
    await page.unroute("**/weights/tfjs/**");
    const file = readFileSync(`${shared}/weights/tfjs/layers_f32_0.25_224/model.json`);
    const integrity = `sha256-${createHash("sha256").update(file).digest("base64")}`;
    expect(await load({ integrity, cache: false })).toMatch(/integrity: must be left out for a model in several files/);
  });
});

test("a foreign file takes the options of load", async ({ page }) => {
  const { precision, architecture } = await page.evaluate(async (weights) => {
    const { load } = await import("/pkg/index.js");
    const normalisation = { mean: 100, deviation: 50, order: "bgr" };
    const options = { precision: "int8", padding: "symmetric", activation: "relu", normalisation };
    const net = await load({ weights, variant: "relaxed", ...options });
    const { precision, architecture } = net;
    net.dispose();
    return { precision, architecture };
  }, tflite("mobilenet_v1_0.25_224_f32"));
  expect(precision).toBe("int8");
  // The graph has precedence over the options: zeros below and right, as Keras pads. It says nothing about colors.
  expect(architecture.padding).toBe("keras");
  expect(architecture.activation).toBe("relu6");
  expect(architecture.normalisation).toEqual({ mean: [100, 100, 100], deviation: [50, 50, 50], order: "bgr" });
});

for (const [variant, networks] of [
  ["simd128", large],
  ["relaxed", [...large, ...small]],
  ["threads", large.slice(0, 1)],
]) {
  for (const network of networks) {
    test(`${variant}: ${network.weights} as ${network.expected}`, async ({ page }) => {
      const { difference, disagreeing, variant: used } = await compare(page, variant, network);
      note(`largest difference ${difference.toExponential(1)}`);
      expect(used).toBe(variant);
      expect(difference).toBeLessThanOrEqual(TOLERANCE);
      expect(disagreeing, "photographs with another best class").toBe(0);
    });
  }
}

// Real networks in a real browser, in each build: every probability of every photograph as the reference has it.
//
// tests/golden.rs and tests/graphs_real.rs hold the native code to the same files. Here the package loads what a page
// may load directly, by content; Keras' file goes through `mobilenet convert` first, as its user would.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { chromium } from "playwright-core";
import { root } from "../../scripts/lib/shell.mjs";
import { chromeLaunchOptions } from "../../scripts/lib/tools.mjs";
import { serve } from "../../scripts/serve.mjs";

const TOLERANCE = 1e-4;

const shared = [process.env.MOBILENET_SHARED, join(root, "..", "shared")].find((path) => path && existsSync(join(path, "weights")));
const skip = !shared && "../shared/weights and ../shared/photos are not here";
if (skip) console.log(`skipped: real networks in the browser: ${skip}`);

/** The float32 tensor `probabilities` of a reference file, as rows of `classes`. */
function expectedRows(name, pictures) {
  const bytes = readFileSync(join(shared, "weights", "expected", `${name}.safetensors`));
  const length = Number(bytes.readBigUInt64LE(0));
  const { shape, data_offsets: range } = JSON.parse(bytes.subarray(8, 8 + length)).probabilities;
  assert.equal(shape[0], pictures);
  const values = new Float32Array(bytes.buffer.slice(bytes.byteOffset + 8 + length + range[0], bytes.byteOffset + 8 + length + range[1]));
  return Array.from({ length: pictures }, (_, row) => [...values.subarray(row * shape[1], (row + 1) * shape[1])]);
}

const trained = { mean: 128, deviation: 128 };
const timm = "/weights/timm/mobilenetv1_100.safetensors";
const large = [
  [timm, "timm_mobilenetv1_100_same", { padding: "same", normalisation: trained }],
  [timm, "timm_mobilenetv1_100_symmetric", { padding: "symmetric", normalisation: trained }],
  ["/converted/keras.safetensors", "keras_mobilenet_1_0_224", {}],
];
const tflite = (name) => `/weights/tflite/${name}.tflite`;
const tfjs = (name) => `/weights/tfjs/${name}_0.25_224/model.json`;
const small = [
  [tflite("mbnet128_0.25_f"), "tflite_0.25_128_float", {}, "128"],
  [tflite("mobilenet_v1_0.25_224_f32"), "tflite_0.25_224_float", {}],
  [tflite("mobilenet_v1_0.25_224_f16"), "tflite_0.25_224_float16", {}],
  [tfjs("layers_f32"), "keras_0.25_224", {}],
  [tfjs("graph_f32"), "keras_0.25_224", {}],
];

// On their makers' 8-bit steps: how many of the photographs must have the reference's best class.
const quantised = [
  [tflite("mobilenet_v1_1.0_224_int8"), "tflite_1.0_224_int8", 55],
  [tflite("mobilenet_v1_0.25_224_int8"), "tflite_0.25_224_int8", 52],
  [tflite("mobilenet_v1_0.25_128_quant"), "tflite_0.25_128_uint8", 52, "128"],
  [tflite("mbnet128_0.25_q"), "tflite_0.25_128_int8", 52, "128"],
];

describe("real networks in the browser", { skip }, () => {
  const converted = mkdtempSync(join(tmpdir(), "mobilenet-converted-"));
  const photos = skip ? [] : Object.keys(JSON.parse(readFileSync(join(shared, "photos", "classes.json"), "utf8")));
  let server, browser, page;
  before(async () => {
    const file = join(converted, "keras.safetensors");
    const options = ["--padding", "same", "--normalisation", "128,128"];
    const cargo = ["run", "--quiet", "--package", "mobilenet-cli", "--", "convert", join(shared, "weights", "keras", "mobilenet_1_0_224_tf.h5"), file];
    execFileSync("cargo", [...cargo, ...options], { cwd: root, stdio: ["ignore", "ignore", "inherit"] });
    server = await serve({ port: 0, mounts: { "/weights/": join(shared, "weights"), "/photos/": join(shared, "photos"), "/converted/": converted } });
    browser = await chromium.launch(chromeLaunchOptions());
    page = await browser.newPage();
    await page.goto(`${server.url}pkg/index.js`); // any document of this origin
  });
  after(async () => {
    rmSync(converted, { recursive: true });
    await browser?.close();
    await server?.close();
  });

  /** Loads the file and runs every photograph; gives the largest difference and how often the best class differs. */
  async function compare([weights, expected, options, size = ""], variant) {
    const rows = expectedRows(expected, photos.length);
    return page.evaluate(
      async ([weights, rows, options, photos, size]) => {
        const { load } = await import("/pkg/index.js");
        const net = await load({ weights, ...options });
        let [worst, others] = [0, 0];
        for (const [at, photo] of photos.entries()) {
          const blob = await (await fetch(`/photos/${size && `${size}/`}${photo}`)).blob();
          const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
          const found = net.classify(bitmap, rows[at].length);
          bitmap.close();
          for (const { index, probability } of found) worst = Math.max(worst, Math.abs(probability - rows[at][index]));
          if (found[0].index !== rows[at].indexOf(Math.max(...rows[at]))) others++;
        }
        const { variant } = net;
        net.dispose();
        return { worst, others, variant };
      },
      [weights, rows, { ...options, variant }, photos, size],
    );
  }

  for (const [weights, expected, enough, size] of quantised) {
    test(`relaxed: ${weights} as ${expected}`, async (context) => {
      const { others } = await compare([weights, expected, {}, size], "relaxed");
      context.diagnostic(`${photos.length - others} of ${photos.length} agree`);
      assert.ok(photos.length - others >= enough, `${others} photographs have another best class`);
    });
  }

  for (const name of ["layers_f16", "layers_u8"]) {
    test(`relaxed: ${tfjs(name)} loads and answers`, async (context) => {
      // Of the network that it was rounded from; a byte a weight leaves less of it than half a float.
      const { others } = await compare([tfjs(name), "keras_0.25_224", {}], "relaxed");
      context.diagnostic(`${photos.length - others} of ${photos.length} agree`);
      assert.ok(others <= (name === "layers_f16" ? 1 : photos.length / 2), `${others} photographs have another best class`);
    });
  }

  test("a kept TF.js model needs its server no more, and integrity is not of its many files", async () => {
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
    assert.equal(await load(), "loaded");
    await page.route("**/weights/tfjs/**", (route) => route.abort());
    try {
      assert.equal(await load(), "loaded");
      await page.evaluate(() => caches.delete("mobilenet-test-tfjs"));
      assert.match(await load(), /could not be fetched/);
    } finally {
      await page.unroute("**/weights/tfjs/**");
    }
    const file = readFileSync(join(shared, "weights/tfjs/layers_f32_0.25_224/model.json"));
    const integrity = `sha256-${createHash("sha256").update(file).digest("base64")}`;
    assert.match(await load({ integrity, cache: false }), /integrity is of one file/);
  });

  test("a foreign file takes the options of load", async () => {
    const seen = await page.evaluate(async (weights) => {
      const { load } = await import("/pkg/index.js");
      const options = { precision: "int8", padding: "symmetric", activation: "relu", normalisation: { mean: 100, deviation: 50, order: "bgr" } };
      const net = await load({ weights, variant: "relaxed", ...options });
      const { precision, architecture } = net;
      net.dispose();
      return { precision, architecture };
    }, small[1][0]);
    assert.equal(seen.precision, "int8");
    // The graph is believed before the caller; of colours it says nothing.
    assert.equal(seen.architecture.padding, "same");
    assert.equal(seen.architecture.activation, "relu6");
    assert.deepEqual(seen.architecture.normalisation, { mean: [100, 100, 100], deviation: [50, 50, 50], order: "bgr" });
  });

  for (const [variant, cases] of [["simd128", large], ["relaxed", [...large, ...small]], ["threads", large.slice(0, 1)]]) {
    for (const kase of cases) {
      test(`${variant}: ${kase[0]} as ${kase[1]}`, async (context) => {
        const { worst, others, variant: used } = await compare(kase, variant);
        context.diagnostic(`largest difference ${worst.toExponential(1)}`);
        assert.equal(used, variant);
        assert.ok(worst <= TOLERANCE, `a probability is off by ${worst}`);
        assert.equal(others, 0, `${others} photographs have another best class`);
      });
    }
  }
});

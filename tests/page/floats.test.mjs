// The build of floats alone, which a page imports by itself: the answers of the package's build, and a sentence for what
// it does without.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { root } from "../../scripts/lib/shell.mjs";
import { serve } from "../../scripts/serve.mjs";
import { launch } from "./helpers.mjs";

const skip = !existsSync(join(root, "pkg/floats")) && "not built: node scripts/build.mjs floats";
let server, browser;

before(async () => {
  server = await serve({ port: 0 });
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.close();
});

test("floats alone answer as the package does, int8 files included", { skip }, async () => {
  const page = await browser.newPage();
  await page.goto(server.url);
  const seen = await page.evaluate(async () => {
    const { load } = await import("/pkg/index.js");
    const { default: init, MobileNet } = await import("/pkg/floats/mobilenet.js");
    await init();
    const weights = await (await fetch("/pkg/default.safetensors")).arrayBuffer();
    const data = new Uint8ClampedArray(128 * 128 * 4).map((_, i) => (i * i) % 251);
    const frame = { data, width: 128, height: 128 };
    const look = (net) => [net.precision, [...net.embed(frame)], net.classify(frame, 200)];
    const alone = await MobileNet.load(weights);
    const packaged = await load({ weights, precision: "f32", variant: "relaxed" });
    const refused = await MobileNet.load(weights, { precision: "int8" }).catch(({ message }) => message);
    return { alone: look(alone), packaged: look(packaged), refused, teaches: "addExample" in alone };
  });
  assert.deepEqual(seen.alone, seen.packaged);
  assert.equal(seen.alone[0], "f32");
  assert.match(seen.refused, /computes in f32 only/);
  assert.equal(seen.teaches, false);
});

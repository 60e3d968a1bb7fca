// What vite.config.js promises: isolation, and files outside of www/ as they are.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { headers } from "../../vite.config.js";
import { expect, test } from "./fixtures.js";

const file = (name) => readFileSync(fileURLToPath(new URL(`../../${name}`, import.meta.url)));

test("the page is isolated from other origins", async ({ demo, page }) => {
  await expect(demo.status).toBeVisible();
  expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
});

test("pkg/ and models/ are served unchanged, with the page's headers", async ({ request }) => {
  for (const [path, type] of [
    ["pkg/index.js", "text/javascript"],
    ["pkg/simd128/mobilenet_bg.wasm", "application/wasm"],
    ["models/README.md", "text/markdown"],
  ]) {
    const response = await request.get(path);
    expect(response.headers()).toMatchObject({
      "content-type": type,
      ...Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])),
    });
    expect(file(path).equals(await response.body())).toBe(true);
  }
});

test("missing files and files of other folders are not found", async ({ request }) => {
  for (const path of [
    "missing.js",
    "missing",
    "pkg/missing.js",
    "package.json",
    "pkg/..%2fpackage.json",
    ".git/config",
  ]) {
    expect((await request.get(path)).status(), path).toBe(404);
  }
});

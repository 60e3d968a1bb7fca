// The page as `vite build` makes it for hosting: bundled with the package, below any address, under the same content
// security policy.
import { fileURLToPath } from "node:url";
import { build } from "vite";
import { serve } from "../server.js";
import { expect, test } from "./fixtures.js";

const configFile = fileURLToPath(new URL("../../vite.config.js", import.meta.url));

test("the built page runs the network that ships, in each way", async ({ demo, page }, testInfo) => {
  const outDir = testInfo.outputPath("dist");
  await build({ configFile, logLevel: "error", build: { outDir } });
  const server = await serve({ mounts: { "/some/folder": outDir } });
  const url = `${server.url}some/folder/`;
  await page.goto(url);
  await expect(demo.status).toHaveText(/MobileNet-128 · int8, relaxed SIMD, 1 thread$/);
  await expect(demo.answer).toHaveText(/\S/);
  await page.getByLabel("In a worker").check();
  await expect(demo.facts).toContainText("relaxed SIMD, 1 thread, in a worker");
  await expect(demo.answer).toHaveText(/\S/);
  await page.goto(`${url}?variant=threads&threads=2`);
  await expect(demo.status).toHaveText(/MobileNet-128 · int8, threads, 2 threads$/);
  await expect(demo.answer).toHaveText(/\S/);
  await server.close();
});

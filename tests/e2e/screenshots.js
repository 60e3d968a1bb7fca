// Takes the screenshots of the demo page for the documentation: phone and wide screen, light and dark.
//
//   node tests/e2e/screenshots.js [NETWORK [LABELS]]     writes docs/page-WIDTH-THEME.jpg
//
// Without arguments the page shows the network that ships with it.
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium, expect } from "@playwright/test";
import { launchOptions } from "../browser.js";
import { serve } from "../server.js";

const [network, labels] = process.argv.slice(2);
const server = await serve();
const browser = await chromium.launch(launchOptions());

for (const [width, height] of [
  [390, 844],
  [1280, 800],
]) {
  for (const colorScheme of ["light", "dark"]) {
    const page = await browser.newPage({ viewport: { width, height }, colorScheme, reducedMotion: "reduce" });
    await page.goto(server.url);
    if (labels) await page.getByLabel("Names of the classes").setInputFiles(labels);
    if (network) {
      await page.getByLabel("Network file").setInputFiles(network);
      await expect(page.locator("#facts")).toContainText(basename(network), { timeout: 60_000 });
    }
    await expect(page.locator("#t-network")).toHaveText(/^\d/, { timeout: 60_000 });
    await page.waitForTimeout(1500); // for the median of the times
    await page.evaluate(() => scrollTo(0, 0));
    const path = fileURLToPath(new URL(`../../docs/page-${width}-${colorScheme}.jpg`, import.meta.url));
    await page.screenshot({ path, type: "jpeg", quality: 85 });
    await page.close();
    console.log(path);
  }
}

await browser.close();
await server.close();

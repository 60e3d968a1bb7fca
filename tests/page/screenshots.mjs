// Takes the pictures of the page that the documentation shows: phone and wide screen, light and dark.
//
//   node tests/page/screenshots.mjs [NETWORK [LABELS]]     writes docs/page-WIDTH-THEME.jpg
//
// Without arguments the network that ships with the page is shown.
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { root } from "../../scripts/lib/shell.mjs";
import { chooseNetwork, openPage } from "./helpers.mjs";

const [network, labels] = process.argv.slice(2);

for (const [width, height] of [[390, 844], [1280, 800]]) {
  for (const colorScheme of ["light", "dark"]) {
    const opened = await openPage({ context: { viewport: { width, height }, colorScheme } });
    const { page } = opened;
    try {
      if (labels) await page.getByLabel("Names of the classes").setInputFiles(labels);
      if (network) await chooseNetwork(page, readFileSync(network), basename(network));
      await page.waitForFunction(() => /^\d/.test(document.querySelector("#t-network").textContent), null, { timeout: 60_000 });
      await page.waitForTimeout(1500); // bars and times come to rest
      await page.evaluate(() => scrollTo(0, 0));
      const path = join(root, "docs", `page-${width}-${colorScheme}.jpg`);
      await page.screenshot({ path, type: "jpeg", quality: 85 });
      console.log(path);
    } finally {
      await opened.close();
    }
  }
}

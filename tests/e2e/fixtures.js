// What the tests of the demo page share: the page as an object, a watched console, a fake camera.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test as base, expect } from "@playwright/test";
import { colorNetwork } from "./color-network.js";
import { film } from "./images.js";

export { expect };

/** The demo page: its parts, and what a visitor does with them. */
class DemoPage {
  constructor(page) {
    this.page = page;
    this.status = page.locator("#status");
    this.answer = page.locator("#top-name");
    this.notice = page.locator("#notice");
    this.video = page.locator("#video");
    this.image = page.locator("#picture");
    this.heatmap = page.locator("#heat");
    this.facts = page.locator("#facts");
    this.networkError = page.locator("#chooser-error");
    this.labels = page.getByLabel("Names of the classes");
  }

  button(name) {
    return this.page.getByRole("button", { name, exact: true });
  }

  tab(name) {
    return this.page.getByRole("tab", { name });
  }

  fact(value) {
    return this.facts.locator("dd").getByText(value, { exact: true });
  }

  /** Loads a network through the file input, and waits until it is in use. */
  async loadNetwork(buffer, name = "colors.safetensors") {
    await this.tab("Network").click();
    await this.page.getByLabel("Network file").setInputFiles({ name, mimeType: "application/octet-stream", buffer });
    const loaded = this.fact(name);
    await expect(loaded.or(this.networkError).filter({ visible: true }).first()).toBeVisible({ timeout: 60_000 });
    await expect(this.networkError).toHaveText("");
    await expect(loaded).toBeVisible();
  }

  /** Shows an image through the file input. */
  async showImage(buffer, name = "image.png") {
    await this.page.getByLabel("Picture file").setInputFiles({ name, mimeType: "image/png", buffer });
  }

  /** Gives the classes names through the file input. */
  async giveLabels(text, name = "names.txt") {
    await this.labels.setInputFiles({ name, mimeType: "text/plain", buffer: Buffer.from(text) });
  }

  /** Loads what is at an address. */
  async loadAddress(address) {
    await this.page.getByLabel("Network address").fill(address);
    await this.button("Load").click();
  }
}

export const test = base.extend({
  /** Messages that a test provokes on the console, as a pattern. */
  provoked: [undefined, { option: true }],

  /** Fails a test whose page wrote a warning or an error to the console, or threw. */
  page: async ({ page, provoked }, use) => {
    const complaints = [];
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) complaints.push(message.text());
    });
    page.on("pageerror", (error) => complaints.push(`uncaught: ${error.message}`));
    await use(page);
    expect(
      complaints.filter((text) => !provoked?.test(text)),
      "messages on the console",
    ).toEqual([]);
  },

  /** The demo page, opened. */
  demo: async ({ page }, use) => {
    await page.goto("/");
    await use(new DemoPage(page));
  },

  /** The demo page with the color network. */
  colors: async ({ demo }, use) => {
    await demo.loadNetwork(colorNetwork());
    await use(demo);
  },
});

/** The test function of a browser with one camera, which shows the PNG `image`. */
export function withCamera(image) {
  return test.extend({
    launchOptions: [
      async ({ launchOptions, playwright }, use) => {
        const folder = await mkdtemp(join(tmpdir(), "mobilenet-camera-"));
        const path = join(folder, "camera.mjpeg");
        const browser = await playwright.chromium.launch(launchOptions);
        await writeFile(path, await film(browser, image));
        await browser.close();
        const flags = ["--use-fake-device-for-media-stream", `--use-file-for-fake-video-capture=${path}`];
        await use({ ...launchOptions, args: [...launchOptions.args, ...flags] });
        await rm(folder, { recursive: true });
      },
      { scope: "worker" },
    ],
  });
}

// The Teach tab: two classes are shown, trained, used, saved and loaded again; here and in a worker.
import { readFile } from "node:fs/promises";
import { colorNetwork } from "./color-network.js";
import { expect, test } from "./fixtures.js";
import { BLUE, GREEN, png, RED } from "./images.js";

const card = (page, name) => page.getByRole("region", { name, exact: true });

/** Shows an image and adds it `times` times as an example of a class, with the keyboard. */
async function addExamples(demo, color, answer, name, times) {
  await demo.showImage(png(color));
  await expect(demo.answer).toHaveText(answer);
  for (let count = 1; count <= times; count++) {
    await card(demo.page, name).getByRole("button", { name: "Hold to show it" }).press("Enter");
    await expect(card(demo.page, name)).toContainText(`${count} example${count > 1 ? "s" : ""}`);
  }
}

for (const where of ["here", "in a worker"]) {
  test(`two classes are shown, trained ${where}, and saved in a file`, async ({ demo, page }) => {
    await demo.tab("Network").click();
    await page.getByLabel("In a worker").setChecked(where !== "here");
    await demo.loadNetwork(colorNetwork(), `colors ${where}.safetensors`);
    await demo.tab("Teach").click();
    const train = demo.button("Train");
    await expect(train).toBeDisabled(); // no examples yet

    await card(page, "Thing one").getByLabel("Name").fill("berry");
    await card(page, "Thing one").getByLabel("Name").blur();
    await addExamples(demo, BLUE, "blue thing", "berry", 3);
    await expect(train).toBeDisabled(); // one class is not enough
    await addExamples(demo, GREEN, "green thing", "Thing two", 3);
    await train.click();
    await expect(page.getByText(/^Taught 2 things from 6 examples in [\d.]+ s: 100 % right/)).toBeVisible();
    await expect(demo.answer).toHaveText("Thing two");
    await demo.showImage(png(BLUE));
    await expect(demo.answer).toHaveText("berry");
    await expect(page.locator(".eye", { hasText: "berry" })).toBeVisible();
    // The panel shows the image too.
    const [red, , blue] = await page.locator(".eye canvas").evaluate((eye) => {
      const copy = new OffscreenCanvas(144, 144).getContext("2d", { willReadFrequently: true });
      copy.drawImage(eye, 0, 0);
      return [...copy.getImageData(72, 72, 1, 1).data];
    });
    expect(blue).toBeGreaterThan(150);
    expect(red).toBeLessThan(100);

    const downloading = page.waitForEvent("download");
    await demo.button("Save as a file").click();
    const download = await downloading;
    expect(download.suggestedFilename()).toBe("taught.safetensors");
    await demo.loadNetwork(await readFile(await download.path()), `taught ${where}.safetensors`);
    await demo.showImage(png(GREEN));
    await expect(demo.answer).toHaveText("Thing two");
    await demo.showImage(png(BLUE));
    await expect(demo.answer).toHaveText("berry");
  });
}

test("a class can be removed, and no two have the same name", async ({ colors: demo, page }) => {
  await demo.tab("Teach").click();
  await card(page, "Thing two").getByLabel("Name").fill("Thing one");
  await card(page, "Thing two").getByLabel("Name").blur();
  await expect(page.getByText("“Thing one” is there already.")).toBeVisible();
  await addExamples(demo, RED, "red thing", "Thing one", 1);
  await demo.button("Remove Thing one").click();
  await expect(card(page, "Thing one")).toHaveCount(0);
  await demo.button("Another thing").click();
  await expect(page.locator(".card").filter({ hasText: "none yet" })).toHaveCount(2);
});

test("a new class gets a name of its own, and a name typed just before the button counts", async ({
  colors: demo,
  page,
}) => {
  await demo.tab("Teach").click();
  await demo.button("Another thing").click();
  await expect(card(page, "Thing 3")).toBeVisible();
  await demo.button("Remove Thing one").click();
  await demo.button("Another thing").click();
  await expect(card(page, "Thing 4")).toBeVisible();
  await card(page, "Thing two").getByLabel("Name").fill("cup");
  await card(page, "Thing two").getByRole("button", { name: "Hold to show it" }).click();
  await expect(card(page, "cup").getByText(/^\d+ examples?$/)).toBeVisible();
  await expect(card(page, "cup").getByLabel("Name")).toHaveValue("cup");
  await expect(page.locator(".card").filter({ hasText: "none yet" })).toHaveCount(2);
});

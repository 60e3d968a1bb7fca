// Images by file, drop and paste; the sample; the heatmap; mirroring; errors.
import { colorNetwork } from "./color-network.js";
import { expect, test } from "./fixtures.js";
import { BLUE, GREEN, png, RED } from "./images.js";

/** Drops or pastes files as a browser does: `files` are `{ name, type, bytes }`. */
async function give(page, event, files) {
  await page.evaluate(
    ({ event, files }) => {
      const transfer = new DataTransfer();
      for (const { name, type, bytes } of files) transfer.items.add(new File([Uint8Array.from(bytes)], name, { type }));
      const options = { bubbles: true, cancelable: true };
      if (event === "paste") {
        document.body.dispatchEvent(new ClipboardEvent("paste", { ...options, clipboardData: transfer }));
      } else {
        for (const type of ["dragover", "drop"]) {
          document.body.dispatchEvent(new DragEvent(type, { ...options, dataTransfer: transfer }));
        }
      }
    },
    { event, files: files.map((file) => ({ ...file, bytes: [...file.bytes] })) },
  );
}

const image = (color, name = "x.png") => ({ name, type: "image/png", bytes: png(color) });

test("an image from a file is classified, with bars and times", async ({ colors: demo, page }) => {
  // The sample that the page begins with is red to this network too; green is not.
  await demo.showImage(png(GREEN));
  await expect(demo.answer).toHaveText("green thing");
  await demo.showImage(png(RED));
  await expect(demo.answer).toHaveText("red thing");
  await expect(page.locator("#top-more")).toHaveText(/scarlet$/);
  const bars = page.locator(".bar:not(.leaving)");
  await expect(bars).toHaveCount(4); // one a class
  const shares = await bars.evaluateAll((rows) =>
    rows.map((row) => [Number(row.dataset.rank), Number(row.style.getPropertyValue("--share"))]),
  );
  shares.sort((a, b) => a[0] - b[0]);
  const sum = shares.reduce((total, [, share]) => total + share, 0);
  expect(Math.abs(sum - 1), `the shares sum to ${sum}`).toBeLessThan(1e-3);
  const descending = shares.map(([, share]) => share).toSorted((a, b) => b - a);
  expect(shares.map(([, share]) => share)).toEqual(descending);
  for (const part of ["network", "grab", "resize"]) await expect(page.locator(`#t-${part}`)).toHaveText(/^[\d.]+ ms$/);
});

test("a dropped image replaces the one before", async ({ colors: demo, page }) => {
  await give(page, "drop", [image(GREEN)]);
  await expect(demo.answer).toHaveText("green thing");
});

test("a pasted image is classified", async ({ colors: demo, page }) => {
  await give(page, "paste", [image(BLUE, "image.png")]);
  await expect(demo.answer).toHaveText("blue thing");
});

test("several files at once: a network and an image are told apart", async ({ colors: demo, page }) => {
  await demo.showImage(png(BLUE));
  await expect(demo.answer).toHaveText("blue thing");
  await give(page, "drop", [{ name: "second.safetensors", type: "", bytes: colorNetwork() }, image(RED)]);
  await expect(demo.fact("second.safetensors")).toBeVisible();
  await expect(demo.answer).toHaveText("red thing");
});

test("a file that is not an image is refused by name, and the answer stays", async ({ colors: demo }) => {
  await demo.showImage(png(BLUE));
  await expect(demo.answer).toHaveText("blue thing");
  await demo.showImage(Buffer.from("not a picture"), "letter.png");
  await expect(demo.notice).toHaveText("“letter.png” is not a picture that this browser can read.");
  await expect(demo.answer).toHaveText("blue thing");
  await demo.showImage(Buffer.alloc(0), "empty.png");
  await expect(demo.notice).toHaveText("“empty.png” is empty.");
  await demo.showImage(png(GREEN));
  await expect(demo.answer).toHaveText("green thing");
  await expect(demo.notice).toBeHidden(); // an image that works takes the error away
});

test("the heatmap lights the left of an image whose left is red, and mirrored the right", async ({
  colors: demo,
  page,
}) => {
  const leftIsRed = await page.evaluate(async () => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 128, height: 128 });
    const context = canvas.getContext("2d");
    context.fillStyle = "#000";
    context.fillRect(0, 0, 128, 128);
    context.fillStyle = "#f00";
    context.fillRect(0, 0, 100, 128);
    return [...new Uint8Array(await (await new Promise((done) => canvas.toBlob(done))).arrayBuffer())];
  });
  // 32 pixels give a map of one place, 224 give seven by seven.
  await demo.loadNetwork(colorNetwork({ resolution: 224 }), "large.safetensors");
  await demo.showImage(Buffer.from(leftIsRed));
  await expect(demo.answer).toHaveText("red thing");
  const explain = demo.button("Where?");
  await explain.click();
  await expect(explain).toHaveAttribute("aria-pressed", "true");
  await expect(demo.heatmap).toBeVisible();
  // How dark the map leaves a point on the left and one on the right: 0 is lit, 225 is dark.
  const darkness = () =>
    demo.heatmap.evaluate((canvas) => {
      const copy = new OffscreenCanvas(10, 10).getContext("2d", { willReadFrequently: true });
      copy.drawImage(canvas, 0, 0, 10, 10);
      return [0, 9].map((x) => copy.getImageData(x, 5, 1, 1).data[3]);
    });
  const [left, right] = await darkness();
  expect(left).toBeLessThan(right - 80);

  await demo.button("Mirror").click();
  await expect(demo.heatmap).toBeVisible();
  const [mirroredLeft, mirroredRight] = await darkness();
  expect(mirroredRight).toBeLessThan(mirroredLeft - 80);
  await demo.button("Mirror").click();
  await explain.click();
  await expect(demo.heatmap).toBeHidden();
});

test("the sample is drawn and classified", async ({ colors: demo }) => {
  await demo.showImage(png(GREEN));
  await expect(demo.answer).toHaveText("green thing");
  await demo.button("Sample").click();
  await expect(demo.image).toHaveAttribute("aria-label", /^Sample picture/);
  await expect(demo.answer).toHaveText(/\S/);
});

test("a screen reader hears the answer", async ({ colors: demo, page }) => {
  await demo.showImage(png(BLUE));
  await expect(page.locator("#live")).toHaveText(/^blue thing/);
  await expect(page.locator("#ranking li").first()).toHaveText(/^blue thing, [\d.]+ %$/);
});

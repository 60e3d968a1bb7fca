// Pictures by file, drop and paste; the sample; the light that shows where the network looked; mirror; plain errors.
import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { BLUE, chooseNetwork, choosePicture, colourNetwork, GREEN, notice, openPage, png, RED, waitForAnswer } from "./helpers.mjs";

let opened, page;

before(async () => {
  opened = await openPage();
  page = opened.page;
  await chooseNetwork(page, colourNetwork());
});
after(() => opened?.close());
beforeEach(() => page.bringToFront());

/** Drops or pastes files, as a browser would: `files` are `{ name, type, bytes }`. */
async function give(event, files) {
  await page.evaluate(
    ({ event, files }) => {
      const transfer = new DataTransfer();
      for (const { name, type, bytes } of files) transfer.items.add(new File([Uint8Array.from(bytes)], name, { type }));
      const options = { bubbles: true, cancelable: true };
      if (event === "paste") document.body.dispatchEvent(new ClipboardEvent("paste", { ...options, clipboardData: transfer }));
      else for (const type of ["dragover", "drop"]) document.body.dispatchEvent(new DragEvent(type, { ...options, dataTransfer: transfer }));
    },
    { event, files: files.map((file) => ({ ...file, bytes: [...file.bytes] })) },
  );
}

const picture = (colour, name = "x.png") => ({ name, type: "image/png", bytes: png(colour) });

test("a picture from a file is named, with bars and times", async () => {
  // The sample that the page begins with is red to this network too; green is not.
  await choosePicture(page, png(GREEN));
  await waitForAnswer(page, "green thing");
  await choosePicture(page, png(RED));
  await waitForAnswer(page, "red thing");
  assert.match(await page.locator("#top-more").textContent(), /scarlet$/);
  const bars = page.locator(".bar:not(.leaving)");
  assert.equal(await bars.count(), 4, "one bar a class, for there are only four");
  const shares = await bars.evaluateAll((rows) => rows.map((row) => [Number(row.dataset.rank), Number(row.style.getPropertyValue("--share"))]));
  shares.sort((a, b) => a[0] - b[0]);
  const sum = shares.reduce((total, [, share]) => total + share, 0);
  assert.ok(Math.abs(sum - 1) < 1e-3, `the four shares sum to 1, not ${sum}`);
  assert.ok(shares.every(([, share], at) => at === 0 || share <= shares[at - 1][1]), "the bars stand in order");
  await page.waitForFunction(() => /^\d/.test(document.querySelector("#t-network").textContent));
  for (const part of ["grab", "resize", "network"]) assert.match(await page.locator(`#t-${part}`).textContent(), /^[\d.]+ ms$/);
});

test("a dropped picture takes the place of the one before", async () => {
  await give("drop", [picture(GREEN)]);
  await waitForAnswer(page, "green thing");
});

test("a pasted picture is looked at", async () => {
  await give("paste", [picture(BLUE, "image.png")]);
  await waitForAnswer(page, "blue thing");
});

test("several files at once: the network and the picture each find their place", async () => {
  await give("drop", [{ name: "second.safetensors", type: "", bytes: colourNetwork() }, picture(RED)]);
  await page.waitForFunction(() => document.querySelector("#facts").textContent.includes("second.safetensors"));
  await waitForAnswer(page, "red thing");
});

test("what is no picture is refused by its name, and the answer stays", async () => {
  await choosePicture(page, Buffer.from("not a picture"), "letter.png");
  assert.equal(await notice(page), "“letter.png” is not a picture that this browser can read.");
  assert.equal(await page.locator("#top-name").textContent(), "red thing");
  await choosePicture(page, Buffer.alloc(0), "empty.png");
  await page.waitForFunction(() => document.querySelector("#notice").textContent === "“empty.png” is empty.");
  await choosePicture(page, png(GREEN));
  await waitForAnswer(page, "green thing");
  assert.ok(await page.locator("#notice").isHidden(), "the sentence goes when something works again");
});

test("where it looked: the left of a picture is red, and the light falls there", async () => {
  const leftIsRed = await page.evaluate(async () => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 128, height: 128 });
    const context = canvas.getContext("2d");
    context.fillStyle = "#000";
    context.fillRect(0, 0, 128, 128);
    context.fillStyle = "#f00";
    context.fillRect(0, 0, 100, 128);
    return [...new Uint8Array(await (await new Promise((done) => canvas.toBlob(done))).arrayBuffer())];
  });
  // 32 pixels give a map of one place; 224 give seven by seven.
  await chooseNetwork(page, colourNetwork({ resolution: 224 }), "large.safetensors");
  await choosePicture(page, Buffer.from(leftIsRed));
  await waitForAnswer(page, "red thing");
  const look = page.getByRole("button", { name: "Where?" });
  await look.click();
  assert.equal(await look.getAttribute("aria-pressed"), "true");
  await page.locator("#heat:not([hidden])").waitFor();
  // How dark the light leaves a point on the left and one on the right: 0 lit, 225 dark.
  const dark = () =>
    page.locator("#heat").evaluate((canvas) => {
      const copy = new OffscreenCanvas(10, 10).getContext("2d", { willReadFrequently: true });
      copy.drawImage(canvas, 0, 0, 10, 10);
      return [0, 9].map((x) => copy.getImageData(x, 5, 1, 1).data[3]);
    });
  const [left, right] = await dark();
  assert.ok(left < right - 80, `left ${left} is lit, right ${right} is dark`);

  await page.getByRole("button", { name: "Mirror" }).click();
  await page.locator("#heat:not([hidden])").waitFor();
  const [mirroredLeft, mirroredRight] = await dark();
  assert.ok(mirroredRight < mirroredLeft - 80, "mirrored, the light falls on the right");
  await page.getByRole("button", { name: "Mirror" }).click();
  await look.click();
  assert.ok(await page.locator("#heat").isHidden());
});

test("the sample is drawn and named", async () => {
  await page.getByRole("button", { name: "Sample" }).click();
  await page.waitForFunction(() => document.querySelector("#picture").getAttribute("aria-label").startsWith("Sample picture"));
  await page.waitForFunction(() => document.querySelector("#top-name").textContent.trim() !== "");
});

test("a screen reader hears the answer, and nothing was written to the console", async () => {
  await choosePicture(page, png(BLUE));
  await page.waitForFunction(() => document.querySelector("#live").textContent.startsWith("blue thing"));
  assert.match(await page.locator("#ranking li").first().textContent(), /^blue thing, [\d.]+ %$/);
  assert.deepEqual(opened.complaints.filter((text) => !/404/.test(text)), []);
});

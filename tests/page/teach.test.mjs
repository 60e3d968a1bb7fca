// The Teach tab: two things shown, trained, answered with, saved, and used again; here and in a worker.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { BLUE, chooseNetwork, choosePicture, colourNetwork, GREEN, openPage, RED, png, waitForAnswer } from "./helpers.mjs";

let opened, page;

before(async () => {
  opened = await openPage();
  page = opened.page;
});
after(() => opened?.close());

const card = (name) => page.getByRole("region", { name, exact: true });

/** Shows a picture and adds it `times` times under a thing's name, by the keyboard's way. */
async function show(colour, answer, thing, times) {
  await choosePicture(page, png(colour));
  await waitForAnswer(page, answer);
  for (let count = 1; count <= times; count++) {
    await card(thing).getByRole("button", { name: "Hold to show it" }).press("Enter");
    await page.waitForFunction(
      ([name, text]) => document.querySelector(`section[aria-label="${name}"]`).textContent.includes(text),
      [thing, `${count} example${count > 1 ? "s" : ""}`],
    );
  }
}

for (const where of ["here", "in a worker"]) {
  test(`two things are shown, learnt ${where}, and kept in a file`, async () => {
    await page.getByRole("tab", { name: "Network" }).click();
    await page.getByLabel("In a worker").setChecked(where !== "here");
    await chooseNetwork(page, colourNetwork(), `colours ${where}.safetensors`);
    await page.getByRole("tab", { name: "Teach" }).click();
    const train = page.getByRole("button", { name: "Train", exact: true });
    assert.ok(await train.isDisabled(), "nothing to learn from yet");

    await card("Thing one").getByLabel("Name").fill("berry");
    await card("Thing one").getByLabel("Name").blur();
    await show(BLUE, "blue thing", "berry", 3);
    assert.ok(await train.isDisabled(), "one thing is nothing to tell apart");
    await show(GREEN, "green thing", "Thing two", 3);
    await train.click();
    await page.getByText(/^Taught 2 things from 6 examples in [\d.]+ s: 100 % right/).waitFor();
    await waitForAnswer(page, "Thing two");
    await choosePicture(page, png(BLUE));
    await waitForAnswer(page, "berry");
    await page.locator(".eye", { hasText: "berry" }).waitFor();
    const [red, , blue] = await page.locator(".eye canvas").evaluate((eye) => {
      const copy = new OffscreenCanvas(144, 144).getContext("2d", { willReadFrequently: true });
      copy.drawImage(eye, 0, 0);
      return [...copy.getImageData(72, 72, 1, 1).data];
    });
    assert.ok(blue > 150 && red < 100, `the panel shows the picture too, not ${red}, ${blue}`);

    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Save as a file" }).click()]);
    assert.equal(download.suggestedFilename(), "taught.safetensors");
    const saved = readFileSync(await download.path());
    await chooseNetwork(page, saved, `taught ${where}.safetensors`);
    await choosePicture(page, png(GREEN));
    await waitForAnswer(page, "Thing two");
    await choosePicture(page, png(BLUE));
    await waitForAnswer(page, "berry");
    assert.deepEqual(opened.complaints, []);
  });
}

test("a thing can be taken away, and a name stands once", async () => {
  await chooseNetwork(page, colourNetwork(), "again.safetensors");
  await page.getByRole("tab", { name: "Teach" }).click();
  await card("Thing two").getByLabel("Name").fill("Thing one");
  await card("Thing two").getByLabel("Name").blur();
  await page.getByText("“Thing one” is there already.").waitFor();
  await show(RED, "red thing", "Thing one", 1);
  await page.getByRole("button", { name: "Remove Thing one" }).click();
  await card("Thing one").waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Another thing" }).click();
  assert.equal(await page.locator(".card").filter({ hasText: "none yet" }).count(), 2);
});

test("a new thing's name is its own, and a name counts that was typed just before the button", async () => {
  await chooseNetwork(page, colourNetwork(), "names.safetensors");
  await page.getByRole("tab", { name: "Teach" }).click();
  await page.getByRole("button", { name: "Another thing" }).click();
  await card("Thing 3").waitFor();
  await page.getByRole("button", { name: "Remove Thing one" }).click();
  await page.getByRole("button", { name: "Another thing" }).click();
  await card("Thing 4").waitFor();
  await card("Thing two").getByLabel("Name").fill("cup");
  await card("Thing two").getByRole("button", { name: "Hold to show it" }).click();
  await card("cup").getByText(/^\d+ examples?$/).waitFor();
  assert.equal(await card("cup").getByLabel("Name").inputValue(), "cup");
  assert.equal(await page.locator(".card").filter({ hasText: "none yet" }).count(), 2);
});

// A real network and a real photograph before a fake camera: the right name must stand first.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { cameraFlags, chooseNetwork, choosePicture, film, openPage, scratch, shared } from "./helpers.mjs";

const weights = shared && join(shared, "weights", "timm", "mobilenetv1_100.safetensors");
const absent = !weights || !existsSync(weights);
if (absent) console.log("skipped: the page with real weights needs ../shared/weights and ../shared/photos, which are not here");

test("the camera shows a photograph, and the page names it", { skip: absent }, async () => {
  const photos = join(shared, "photos");
  const names = readFileSync(join(shared, "weights", "imagenet_labels_1001.txt"), "utf8").trim().split("\n").slice(1);
  const classes = JSON.parse(readFileSync(join(photos, "classes.json"), "utf8"));
  const first = (photo) => names[classes[photo]].split(",")[0];

  const path = join(scratch(), "camera.mjpeg");
  await film(readFileSync(join(photos, "sunflower.png")), path);
  const opened = await openPage({ flags: cameraFlags(path) });
  try {
    const { page } = opened;
    await page.getByLabel("Padding").selectOption("same");
    await page.getByLabel("Names of the classes").setInputFiles(join(shared, "weights", "imagenet_labels_1001.txt"));
    await chooseNetwork(page, readFileSync(weights), "mobilenetv1_100.safetensors");
    await page.getByRole("button", { name: "Camera", exact: true }).click();
    await page.waitForFunction((name) => document.querySelector("#top-name").textContent === name, first("sunflower.png"), { timeout: 60_000 });
    assert.match(await page.locator("#ranking li").first().textContent(), new RegExp(`^${first("sunflower.png")}, \\d+ %$`));

    // And stills, over their whole way: file, decode, resize, network, bars.
    for (const photo of ["parrot.png", "dragonfly.png", "class_340.png"]) {
      await choosePicture(page, readFileSync(join(photos, photo)), photo);
      await page.waitForFunction((name) => document.querySelector("#top-name").textContent === name, first(photo), { timeout: 30_000 });
    }
    assert.deepEqual(opened.complaints.filter((text) => !/404/.test(text)), []);
  } finally {
    await opened.close();
  }
});

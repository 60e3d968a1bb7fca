// A real network and real photographs, by the fake camera and by file: the right class must be the answer.
import { existsSync, readFileSync } from "node:fs";
import { expect, test as plain, withCamera } from "./fixtures.js";
import { missing, shared } from "./reference-data.js";

const test = shared ? withCamera(readFileSync(`${shared}/photos/sunflower.png`)) : plain;
test.skip(!shared || !existsSync(`${shared}/weights/timm/mobilenetv1_100.safetensors`), missing);
test.use({ permissions: ["camera"] });

test("the camera and files show photographs, and the page classifies them", async ({ demo, page }) => {
  const lines = `${shared}/weights/imagenet_labels_1001.txt`;
  const labels = readFileSync(lines, "utf8").trim().split("\n").slice(1);
  const classes = JSON.parse(readFileSync(`${shared}/photos/classes.json`, "utf8"));
  const expected = (photo) => labels[classes[photo]].split(",")[0];

  await page.getByLabel("Padding").selectOption("same");
  await demo.labels.setInputFiles(lines);
  await demo.loadNetwork(
    readFileSync(`${shared}/weights/timm/mobilenetv1_100.safetensors`),
    "mobilenetv1_100.safetensors",
  );
  await demo.button("Camera").click();
  await expect(demo.answer).toHaveText(expected("sunflower.png"), { timeout: 60_000 });
  const first = page.locator("#ranking li").first();
  await expect(first).toHaveText(new RegExp(`^${expected("sunflower.png")}, \\d+ %$`));

  for (const photo of ["parrot.png", "dragonfly.png", "class_340.png"]) {
    await demo.showImage(readFileSync(`${shared}/photos/${photo}`), photo);
    await expect(demo.answer).toHaveText(expected(photo));
  }
});

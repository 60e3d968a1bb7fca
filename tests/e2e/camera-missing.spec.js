// A browser that finds no camera.
import { launchOptions } from "../browser.js";
import { expect, test } from "./fixtures.js";

test.use({
  permissions: ["camera"],
  launchOptions: launchOptions(["--use-fake-device-for-media-stream=device-count=0"]),
});

test("a missing camera is reported", async ({ demo }) => {
  await demo.button("Camera").click();
  await expect(demo.notice).toHaveText(
    /^No camera was found\. Connect one and press Camera again, or use a picture\.$/,
  );
  await expect(demo.button("Camera")).toBeEnabled();
});

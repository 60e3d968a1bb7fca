// The camera: shown, paused, mirrored, stopped; refused, in use elsewhere, taken away, on an insecure page.
import { colorNetwork } from "./color-network.js";
import { expect, withCamera } from "./fixtures.js";
import { GREEN, png, RED } from "./images.js";

const test = withCamera(png(GREEN));

test.describe("with a camera", () => {
  test.use({ permissions: ["camera"] });

  const paused = (demo) => expect.poll(() => demo.video.evaluate((video) => video.paused));
  const source = (demo) => demo.video.evaluate((video) => video.srcObject?.id);

  async function start(demo) {
    await demo.button("Camera").click();
    await expect(demo.answer).toHaveText("green thing");
  }

  async function toggleHeatmap(demo) {
    await demo.button("Where?").click();
    await expect(demo.heatmap).toBeVisible();
    await demo.button("Where?").click();
  }

  test("nothing is asked before the click", async ({ colors: demo }) => {
    expect(await demo.video.evaluate((video) => video.srcObject)).toBe(null);
    await expect(demo.button("Pause")).toBeDisabled();
  });

  test("the click shows live frames and classifies them", async ({ colors: demo, page }) => {
    await start(demo);
    await expect.poll(async () => Number(await page.locator("#t-rate").textContent())).toBeGreaterThanOrEqual(2);
    await expect(demo.video).toBeVisible();
    // A camera that faces its user is mirrored.
    await expect(demo.button("Mirror")).toHaveAttribute("aria-pressed", "true");
  });

  test("Pause holds the frame, Resume goes on", async ({ colors: demo }) => {
    await start(demo);
    await demo.button("Pause").click();
    await paused(demo).toBe(true);
    await toggleHeatmap(demo); // the held frame can still be explained
    await demo.loadNetwork(colorNetwork(), "while-paused.safetensors");
    await expect(demo.answer).toHaveText("green thing"); // and classified by another network
    await paused(demo).toBe(true);
    await demo.button("Resume").click();
    await paused(demo).toBe(false);
    await expect(demo.button("Pause")).toBeVisible();
  });

  test("the heatmap is shown over live frames", async ({ colors: demo }) => {
    await start(demo);
    await toggleHeatmap(demo);
  });

  test("a camera that opens only after the other is closed is opened, and one that fails leaves the first", async ({
    colors: demo,
    page,
  }) => {
    await start(demo);
    await page.evaluate(() => {
      const devices = navigator.mediaDevices;
      const open = devices.getUserMedia.bind(devices);
      window.refusals = ["NotReadableError"];
      devices.getUserMedia = async (constraints) => {
        const name = window.refusals.shift();
        if (name) throw new DOMException("no", name);
        return open(constraints);
      };
    });
    const choose = () => page.locator("#cameras").evaluate((select) => select.dispatchEvent(new Event("change")));
    const first = await source(demo);
    await choose();
    await expect.poll(async () => (await source(demo)) ?? first).not.toBe(first);
    const second = await source(demo);
    await page.evaluate(() => window.refusals.push("NotFoundError"));
    await choose();
    await expect(demo.notice).toHaveText(/^No camera was found/);
    expect(await source(demo)).toBe(second);
    await expect(demo.video).toBeVisible();
    await demo.button("Pause").click();
    await demo.button("Resume").click();
  });

  test("Stop releases the camera", async ({ colors: demo, page }) => {
    await start(demo);
    const track = await page.evaluateHandle(() => document.querySelector("#video").srcObject.getVideoTracks()[0]);
    await demo.button("Stop").click();
    expect(await track.evaluate(({ readyState }) => readyState)).toBe("ended");
    await expect(demo.button("Camera")).toBeVisible();
    await expect(demo.image).toBeVisible(); // a sample replaces the camera
    await demo.showImage(png(RED));
    await expect(demo.answer).toHaveText("red thing");
    // An image is not mirrored.
    await expect(demo.button("Mirror")).toHaveAttribute("aria-pressed", "false");
  });

  test("a camera that is taken away is reported, and can be started again", async ({ colors: demo, page }) => {
    await start(demo);
    // A track ends like this when the device is unplugged or the permission withdrawn.
    await page.evaluate(() => {
      const [track] = document.querySelector("#video").srcObject.getVideoTracks();
      track.stop();
      track.dispatchEvent(new Event("ended"));
    });
    await expect(demo.notice).toHaveText(/^The camera was taken away: .*Press Camera to try again\.$/);
    await start(demo);
    await expect(demo.notice).toBeHidden();
    await demo.button("Stop").click();
  });
});

test.describe("without permission", () => {
  test("a refused camera says where to allow it", async ({ demo }) => {
    await demo.button("Camera").click();
    await expect(demo.notice).toHaveText(/^The camera was refused\. Allow it .*; a picture works without it\.$/);
    await expect(demo.button("Camera")).toBeEnabled();
  });

  test("a camera in use elsewhere is reported", async ({ demo, page }) => {
    await page.evaluate(() => {
      navigator.mediaDevices.getUserMedia = () =>
        Promise.reject(new DOMException("Could not start video source", "NotReadableError"));
    });
    await demo.button("Camera").click();
    await expect(demo.notice).toHaveText(/another program or tab may be using it/);
    await expect(demo.button("Camera")).toBeEnabled();
  });
});

test.describe("on an insecure page", () => {
  test.use({ provoked: /Cross-Origin-Opener-Policy/ });

  test("the page says how to open it", async ({ demo, page }) => {
    await page.goto(page.url().replace("127.0.0.1", "page.test"));
    await demo.button("Camera").click();
    await expect(demo.notice).toHaveText(/https:\/\/ or on localhost\.$/);
    await expect(demo.button("Camera")).toBeEnabled();
  });
});

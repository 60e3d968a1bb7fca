// The camera: shown, paused, mirrored, stopped; refused, missing, taken away, on an insecure page.
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { cameraFlags, chooseNetwork, choosePicture, colourNetwork, film, GREEN, notice, openPage, png, RED, scratch, waitForAnswer } from "./helpers.mjs";

describe("with a camera", () => {
  let opened, page;
  before(async () => {
    const path = join(scratch(), "green.mjpeg");
    await film(png(GREEN), path);
    opened = await openPage({ flags: cameraFlags(path) });
    page = opened.page;
    await chooseNetwork(page, colourNetwork());
  });
  after(() => opened?.close());

  const button = (name) => page.getByRole("button", { name, exact: true });

  test("nothing is asked before the click", async () => {
    assert.equal(await page.locator("#video").evaluate((video) => video.srcObject), null);
    assert.ok(await button("Pause").isDisabled());
  });

  test("the click shows live frames and names them", async () => {
    await button("Camera").click();
    await waitForAnswer(page, "green thing");
    await page.waitForFunction(() => Number(document.querySelector("#t-rate").textContent) >= 2);
    assert.ok(await page.locator("#video").isVisible());
    assert.equal(await button("Mirror").getAttribute("aria-pressed"), "true", "a camera that faces its user is mirrored");
  });

  test("pause holds the picture, resume goes on", async () => {
    await button("Pause").click();
    assert.ok(await page.locator("#video").evaluate((video) => video.paused));
    await button("Where?").click();
    await page.locator("#heat:not([hidden])").waitFor(); // the held frame can still be asked about
    await button("Where?").click();
    await chooseNetwork(page, colourNetwork(), "while-paused.safetensors");
    await waitForAnswer(page, "green thing"); // and another network looks at it too
    assert.ok(await page.locator("#video").evaluate((video) => video.paused));
    await button("Resume").click();
    await page.waitForFunction(() => !document.querySelector("#video").paused);
    await button("Pause").waitFor();
  });

  test("the light shows over live frames too", async () => {
    await button("Where?").click();
    await page.locator("#heat:not([hidden])").waitFor();
    await button("Where?").click();
  });

  test("a camera that opens only when the other is closed is had, and one that does not leaves the first", async () => {
    await page.evaluate(() => {
      const devices = navigator.mediaDevices;
      const open = devices.getUserMedia.bind(devices);
      window.refusals = ["NotReadableError"];
      devices.getUserMedia = async (wanted) => {
        const name = window.refusals.shift();
        if (name) throw new DOMException("no", name);
        return open(wanted);
      };
    });
    const choose = () => page.locator("#cameras").evaluate((select) => select.dispatchEvent(new Event("change")));
    const id = () => page.locator("#video").evaluate((video) => video.srcObject?.id);
    const first = await id();
    await choose();
    await page.waitForFunction((first) => (document.querySelector("#video").srcObject?.id ?? first) !== first, first);
    const second = await id();
    await page.evaluate(() => window.refusals.push("NotFoundError"));
    await choose();
    assert.match(await notice(page), /^No camera was found/);
    assert.equal(await id(), second);
    assert.ok(await page.locator("#video").isVisible());
    await button("Pause").click();
    await button("Resume").click();
  });

  test("stop lets the camera go", async () => {
    const track = await page.evaluateHandle(() => document.querySelector("#video").srcObject.getVideoTracks()[0]);
    await button("Stop").click();
    assert.equal(await track.evaluate((track) => track.readyState), "ended");
    await button("Camera").waitFor();
    assert.ok(await page.locator("#picture").isVisible(), "a sample stands where the camera was");
    await choosePicture(page, png(RED));
    await waitForAnswer(page, "red thing");
    assert.equal(await button("Mirror").getAttribute("aria-pressed"), "false", "a picture is no mirror");
  });

  test("a camera that is taken away says so, and can be had again", async () => {
    await button("Camera").click();
    await waitForAnswer(page, "green thing");
    // A track ends so when the device is unplugged or the permission withdrawn.
    await page.evaluate(() => {
      const [track] = document.querySelector("#video").srcObject.getVideoTracks();
      track.stop();
      track.dispatchEvent(new Event("ended"));
    });
    assert.match(await notice(page), /^The camera was taken away: .*Press Camera to try again\.$/);
    await button("Camera").click();
    await waitForAnswer(page, "green thing");
    assert.ok(await page.locator("#notice").isHidden());
    await button("Stop").click();
  });

  test("nothing was written to the console", () => {
    assert.deepEqual(opened.complaints.filter((text) => !/404/.test(text)), []);
  });
});

async function refusal(options) {
  const opened = await openPage(options);
  try {
    if (options.before) await options.before(opened);
    await opened.page.getByRole("button", { name: "Camera", exact: true }).click();
    const sentence = await notice(opened.page);
    assert.ok(await opened.page.getByRole("button", { name: "Camera", exact: true }).isEnabled(), "it can be tried again");
    return sentence;
  } finally {
    await opened.close();
  }
}

test("a refused camera says where to allow it", async () => {
  // Without the flag that accepts for the user, headless Chromium refuses.
  assert.match(await refusal({ flags: ["--use-fake-device-for-media-stream"] }), /^The camera was refused\. Allow it .*; a picture works without it\.$/);
});

test("a missing camera says so", async () => {
  const before = ({ context, url }) => context.grantPermissions(["camera"], { origin: new URL(url).origin });
  assert.match(await refusal({ before }), /^No camera was found\. Connect one and press Camera again, or use a picture\.$/);
});

test("a camera in use elsewhere says so", async () => {
  const before = ({ page }) => page.evaluate(() => {
    navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("Could not start video source", "NotReadableError"));
  });
  assert.match(await refusal({ before }), /another program or tab may be using it/);
});

test("an insecure page says how to open it", async () => {
  const flags = [...cameraFlags(), "--host-resolver-rules=MAP page.test 127.0.0.1"];
  assert.match(await refusal({ flags, host: "page.test" }), /https:\/\/ or on localhost\.$/);
});

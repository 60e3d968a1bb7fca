// What the tests of the page share: a server, a browser, a network that knows colours, pictures, a camera's film.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32, deflateSync } from "node:zlib";
import { chromium } from "playwright-core";
import { root } from "../../scripts/lib/shell.mjs";
import { chromeLaunchOptions } from "../../scripts/lib/tools.mjs";
import { serve } from "../../scripts/serve.mjs";

/** Where the reference data lies, or null. */
export const shared = [process.env.MOBILENET_SHARED, join(root, "..", "shared")].find((path) => path && existsSync(path)) ?? null;

export { COLOURS, colourNetwork } from "../networks/colours.mjs";

/** A PNG of one colour, `[r, g, b]`. */
export function png([r, g, b], width = 96, height = 64) {
  const row = Buffer.alloc(1 + 3 * width);
  for (let x = 0; x < width; x++) row.set([r, g, b], 1 + 3 * x);
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const chunk = (type, data) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const frame = Buffer.alloc(8);
    frame.writeUInt32BE(data.length, 0);
    frame.writeUInt32BE(checksum(body), 4);
    return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
  };
  const pixels = deflateSync(Buffer.concat(Array(height).fill(row)));
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk("IHDR", header), chunk("IDAT", pixels), chunk("IEND", Buffer.alloc(0))]);
}

function checksum(bytes) {
  if (crc32) return crc32(bytes);
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

export const RED = [225, 30, 20];
export const GREEN = [20, 190, 40];
export const BLUE = [25, 50, 220];

/** A folder that is gone when the process ends. */
export function scratch() {
  const folder = mkdtempSync(join(tmpdir(), "mobilenet-page-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Starts Chromium; `flags` besides those that every test has. */
export function launch(flags = []) {
  return chromium.launch(chromeLaunchOptions(flags));
}

/** Flags for a camera that shows a film without asking; none leaves Chromium's own moving test picture. */
export function cameraFlags(film) {
  return ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", ...(film ? [`--use-file-for-fake-video-capture=${film}`] : [])];
}

/** A film for the fake camera: JPEGs one after another, each 640 × 480 with the picture covering the middle square. */
export async function film(picture, path, frames = 30) {
  const browser = await launch();
  try {
    const page = await browser.newPage();
    const jpeg = await page.evaluate(async (source) => {
      const image = new Image();
      image.src = source;
      await image.decode();
      const canvas = Object.assign(document.createElement("canvas"), { width: 640, height: 480 });
      const context = canvas.getContext("2d");
      context.fillStyle = "#777";
      context.fillRect(0, 0, 640, 480);
      context.imageSmoothingQuality = "high";
      context.drawImage(image, 80, 0, 480, 480);
      return canvas.toDataURL("image/jpeg", 0.95).split(",")[1];
    }, `data:image/png;base64,${picture.toString("base64")}`);
    writeFileSync(path, Buffer.concat(Array(frames).fill(Buffer.from(jpeg, "base64"))));
  } finally {
    await browser.close();
  }
}

/**
 * Opens the page on a server of its own. `options`: `{ flags, context, mounts, path }`.
 * Resolves to `{ page, context, url, console, close }`; `console` collects what the page complained of.
 */
export async function openPage(options = {}) {
  const server = await serve({ port: 0, mounts: options.mounts });
  const browser = await launch(options.flags);
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options.context });
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(`uncaught: ${error.message}`));
  const url = options.host ? server.url.replace("127.0.0.1", options.host) : server.url;
  await page.goto(url + (options.path ?? ""));
  return {
    page,
    context,
    url,
    complaints,
    async close() {
      await browser.close();
      await server.close();
    },
  };
}

/** Chooses a network through the page's file input and waits until it is in use; throws what the page says against it. */
export async function chooseNetwork(page, buffer, name = "colours.safetensors") {
  await page.getByRole("tab", { name: "Network" }).click();
  await page.getByLabel("Network file").setInputFiles({ name, mimeType: "application/octet-stream", buffer });
  const loaded = page.waitForFunction((wanted) => [...document.querySelectorAll("#facts dd")].some((dd) => dd.textContent === wanted), name, { timeout: 60_000 });
  const refused = page.locator("#chooser-error:not([hidden])").waitFor({ timeout: 60_000 });
  const first = await Promise.race([loaded.then(() => "loaded"), refused.then(() => "refused")]);
  for (const other of [loaded, refused]) other.catch(() => {});
  if (first === "refused") throw new Error(`the page refused the network: ${await page.locator("#chooser-error").textContent()}`);
}

/** Shows a picture through the page's file input. */
export function choosePicture(page, buffer, name = "picture.png") {
  return page.getByLabel("Picture file").setInputFiles({ name, mimeType: "image/png", buffer });
}

/** Waits until the headline says so. */
export function waitForAnswer(page, name, timeout = 30_000) {
  return page.waitForFunction((wanted) => document.querySelector("#top-name").textContent === wanted, name, { timeout });
}

/** The sentence that is shown below the picture, once there is one. */
export async function notice(page, selector = "#notice") {
  const element = page.locator(`${selector}:not([hidden])`);
  await element.waitFor({ timeout: 30_000 });
  return element.textContent();
}

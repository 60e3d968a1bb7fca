// Images for tests: PNGs of one color, and a film for the fake camera.
import { crc32, deflateSync } from "node:zlib";

export const RED = [225, 30, 20];
export const GREEN = [20, 190, 40];
export const BLUE = [25, 50, 220];

/** A PNG of one color, `[r, g, b]`. */
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
    frame.writeUInt32BE(crc32(body), 4);
    return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
  };
  const pixels = deflateSync(Buffer.concat(Array(height).fill(row)));
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk("IHDR", header), chunk("IDAT", pixels), chunk("IEND", Buffer.alloc(0))]);
}

/** A Motion JPEG for the fake camera: 640×480 frames with the PNG `image` covering the middle square. */
export async function film(browser, image, frames = 30) {
  const page = await browser.newPage();
  const jpeg = await page.evaluate(
    async (source) => {
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
    },
    `data:image/png;base64,${image.toString("base64")}`,
  );
  await page.close();
  return Buffer.concat(Array(frames).fill(Buffer.from(jpeg, "base64")));
}

// Still pictures: a file, a paste or a drop becomes an ImageBitmap, the upright pixels that the network sees.
// The stage shows the square in the middle, for that is the part that the network is given.

const LARGEST = 1792; // pixels along the short side: more would only cost memory, the network takes 224

/** Decodes a file or blob; rejects with a sentence that names it. The caller closes the bitmap. */
export async function decode(blob) {
  const name = blob.name ? `“${blob.name}”` : "What was pasted";
  if (blob.size === 0) throw new Error(`${name} is empty.`);
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob, { imageOrientation: "from-image" });
  } catch {
    // SVG has no bitmap of its own in some browsers: an <img> draws it.
    bitmap = await throughImage(blob).catch(() => null);
    if (!bitmap) throw new Error(`${name} is not a picture that this browser can read.`);
  }
  const scale = LARGEST / Math.min(bitmap.width, bitmap.height);
  if (scale >= 1) return bitmap;
  const small = await createImageBitmap(bitmap, {
    resizeWidth: Math.max(1, Math.round(bitmap.width * scale)),
    resizeHeight: Math.max(1, Math.round(bitmap.height * scale)),
    resizeQuality: "high",
  });
  bitmap.close();
  return small;
}

async function throughImage(blob) {
  const url = URL.createObjectURL(blob);
  try {
    const image = new Image();
    image.src = url;
    await image.decode();
    return await createImageBitmap(image);
  } finally {
    URL.revokeObjectURL(url);
  }
}

/** Draws the middle square of a frame over the whole canvas. */
export function drawSquare(canvas, frame) {
  const width = frame.videoWidth ?? frame.width;
  const height = frame.videoHeight ?? frame.height;
  const side = Math.min(width, height);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.drawImage(frame, (width - side) / 2, (height - side) / 2, side, side, 0, 0, canvas.width, canvas.height);
}

/** What a dropped or chosen file is for: "picture", "labels" or "network". */
export function kindOf(file) {
  if (file.type.startsWith("image/")) return "picture";
  if (/\.(jpe?g|png|gif|webp|avif|bmp|svg|heic)$/i.test(file.name)) return "picture";
  if (file.type === "text/plain" || /\.(txt|csv|names|labels)$/i.test(file.name)) return "labels";
  if (/labels?.*\.json$|class.*\.json$/i.test(file.name)) return "labels";
  return "network";
}

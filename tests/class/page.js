// What a page would do: make frames of every kind, all with the same picture, and serve files of every sort.

export const side = 32;

/** The picture: four fields of colour and a diagonal, in RGBA. */
export function pixels(width = side, height = side) {
  const data = new Uint8ClampedArray(width * height * 4);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [left, top] = [x * 2 < width, y * 2 < height];
      const colour =
        x === y ? [255, 255, 255] : left ? (top ? [200, 30, 30] : [20, 160, 60]) : top ? [30, 60, 220] : [230, 200, 40];
      data.set([...colour, 255], (y * width + x) * 4);
    }
  }
  return { data, width, height };
}

export function imageData(width, height) {
  const { data, width: w, height: h } = pixels(width, height);
  return new ImageData(data, w, h);
}

export function canvas(width = side, height = side) {
  const element = document.createElement("canvas");
  [element.width, element.height] = [width, height];
  if (width && height) element.getContext("2d").putImageData(imageData(width, height), 0, 0);
  return element;
}

export function offscreen(width = side, height = side) {
  const element = new OffscreenCanvas(width, height);
  element.getContext("2d").putImageData(imageData(width, height), 0, 0);
  return element;
}

export async function image() {
  const element = new Image();
  element.src = canvas().toDataURL("image/png");
  await element.decode();
  return element;
}

/** As a page with `srcset` shows it on a fine screen: two pixels of its file to one of its own. */
export async function denseImage(width, height) {
  const element = new Image();
  element.srcset = `${canvas(2 * width, 2 * height).toDataURL("image/png")} 2x`;
  await element.decode();
  return element;
}

export function drawn(frame, width, height) {
  const element = canvas(width, height);
  element.getContext("2d").drawImage(frame, 0, 0, width, height);
  return element;
}

export const unloadedImage = () => new Image();
export const bitmap = () => createImageBitmap(canvas());
export const videoFrame = () => new VideoFrame(canvas(), { timestamp: 0 });
export const emptyVideo = () => document.createElement("video");

export async function closedBitmap() {
  const closed = await bitmap();
  closed.close();
  return closed;
}

export function closedVideoFrame() {
  const closed = videoFrame();
  closed.close();
  return closed;
}

export async function video() {
  // Larger, so that the video's coarser colours do not reach every pixel of the picture.
  const source = canvas(320, 320);
  const element = document.createElement("video");
  element.muted = true;
  element.srcObject = source.captureStream(30);
  // A captured canvas gives a frame whenever it is drawn on.
  const drawing = setInterval(() => source.getContext("2d").putImageData(imageData(320, 320), 0, 0), 20);
  await element.play();
  while (element.readyState < 2 || !element.videoWidth) await new Promise((resolve) => setTimeout(resolve, 20));
  clearInterval(drawing);
  return element;
}

/**
 * A picture whose pixels the page may not read: what a page of another origin gives without CORS. The tests have only
 * one origin; a blob of SVG with foreign content taints a canvas in Chrome, but not in Firefox, which gets null.
 */
export async function taintedImage() {
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="32" height="32"><foreignObject width="32" height="32"><p xmlns="http://www.w3.org/1999/xhtml">x</p></foreignObject></svg>`;
  const foreign = new Image();
  foreign.src = URL.createObjectURL(new Blob([svg], { type: "image/svg+xml" }));
  await foreign.decode();
  const probe = canvas().getContext("2d");
  probe.drawImage(foreign, 0, 0);
  try {
    probe.getImageData(0, 0, 1, 1);
    return null;
  } catch {
    return foreign;
  }
}

export async function taintedCanvas() {
  const element = canvas();
  const tainted = await taintedImage();
  if (!tainted) return null;
  element.getContext("2d").drawImage(tainted, 0, 0);
  return element;
}

export const isClosed = (frame) => (frame.width ?? frame.displayWidth) === 0 || frame.displayWidth === 0;

/** Calls a method, waits for its promise, and says what came of it: the value, or the error and whether it is one. */
export async function attempt(target, method, args) {
  try {
    return { value: await target[method](...args) };
  } catch (error) {
    return failure(error);
  }
}

const failure = (error) => ({
  error: error instanceof Error,
  name: error?.name,
  code: error?.code,
  message: String(error?.message ?? error),
});

export async function construct(type, args) {
  try {
    return { value: new type(...args) };
  } catch (error) {
    return failure(error);
  }
}

export const evaluate = (code, ...values) => new Function("a", "b", "page", `return (${code})`)(...values);

/** An address with these bytes behind it. */
export const address = (bytes) => URL.createObjectURL(new Blob([bytes]));

/** A response that gives the bytes in parts, and breaks off or waits forever after some of them. */
export function slowResponse(bytes, { parts = 4, breakAfter = Infinity, stopAfter = Infinity, headers = {} } = {}) {
  const size = Math.ceil(bytes.length / parts);
  let part = 0;
  const body = new ReadableStream({
    pull(controller) {
      if (part >= breakAfter) return controller.error(new Error("connection lost"));
      if (part >= stopAfter) return new Promise(() => {});
      if (part * size >= bytes.length) return controller.close();
      controller.enqueue(bytes.slice(part * size, ++part * size));
    },
  });
  return new Response(body, { headers });
}

export async function integrityOf(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return `sha256-${btoa(String.fromCharCode(...digest))}`;
}

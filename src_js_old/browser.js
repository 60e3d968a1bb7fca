// What of the class is shorter to say in JavaScript than in Rust: it reads options, takes frames, and fetches files.
//
// Goes in: whatever the caller gave. Comes out: plain values for Rust, or an `Error` whose sentence names the thing, what
// it was and what it may be. Next: `value.rs`, `frame.rs`, `load.rs` and `teach.rs`.

function refuse(sentence) {
  throw new Error(sentence);
}

/** The name of a platform object's interface (`ImageData`, `URL`), whatever window it comes from; else nothing. */
const tag = (value) => (typeof value === "object" && value?.[Symbol.toStringTag]) || "";

/** What a value is, for a sentence: `a string`, `null`, `an HTMLDivElement`. */
export function describe(value) {
  if (value == null) return `${value}`;
  const kind = Array.isArray(value) ? "array" : tag(value) || typeof value;
  return `${/^[aeioAEIOHX]/.test(kind) ? "an" : "a"} ${kind}`;
}

/** What was thrown, as text for the end of a sentence. */
export const message = (thrown) => thrown?.message ?? (typeof thrown === "string" ? thrown : "no reason given");

const shown = (value) => (typeof value === "number" ? value : describe(value));

function check(signal) {
  if (signal?.aborted) throw signal.reason;
}

// ---- Options ----

const whole = (value) => Number.isInteger(value) && value >= 0 && value < 2 ** 32;
const text = (value) => typeof value === "string";
const number = (value) => typeof value === "number";

/** What a field may be: a test, and how a sentence calls it. */
const kinds = {
  number: [Number.isFinite, "a finite number"],
  count: [whole, "a whole number"],
  boolean: [(value) => typeof value === "boolean", "true or false"],
  function: [(value) => typeof value === "function", "a function"],
  array: [Array.isArray, "an array"],
  texts: [Array.isArray, "an array"],
  signal: [(value) => tag(value) === "AbortSignal", "an AbortSignal"],
  hash: [text, 'a string such as "sha256-…"'],
  cache: [(value) => text(value) || typeof value === "boolean", "true, false or a name"],
  three: [(value) => number(value) || (value.length === 3 && Array.isArray(value) && value.every(number)), "a number or an array of three"],
};
const objects = {
  region: "left:number top:number right:number bottom:number",
  normalisation: "mean:three deviation:three order:rgb|bgr",
};

/**
 * The options of `method`, read once and checked: `schema` is `name:kind` for each, where a kind is one of the above or
 * the words that the option may be, of which the result holds the index. Absent, `undefined` and `null` are the same. A
 * field that is not in the schema is refused: a misspelt option would be silently lost.
 */
export function readOptions(method, given, schema) {
  const options = given ?? {};
  if (!(options instanceof Object || typeof options === "object") || Array.isArray(options)) {
    refuse(`${method}: the options must be an object, not ${describe(options)}`);
  }
  const fields = schema.split(" ").map((field) => field.split(":"));
  for (const key of Object.keys(options)) {
    if (!fields.some(([name]) => name === key)) {
      refuse(`${method}: there is no option \`${key}\`; there are ${fields.map(([name]) => name).join(", ")}`);
    }
  }
  const read = {};
  for (const [key, kind] of fields) {
    const value = options[key];
    const wrong = (wanted, found = value) => refuse(`${method}: ${key} must be ${wanted}, not ${text(found) ? `"${found}"` : shown(found)}`);
    if (value == null) {
      if (kind === "three") wrong("given as a number or three", undefined);
    } else if (objects[kind]) {
      if (typeof value !== "object") wrong("an object");
      read[key] = readOptions(method, value, objects[kind]);
    } else if (kinds[kind]) {
      const [holds, wanted] = kinds[kind];
      if (!holds(value)) wrong(wanted);
      if (kind === "signal") check(value);
      if (kind === "texts") for (const item of value) if (!text(item)) wrong("an array of strings", item);
      read[key] = kind === "three" && number(value) ? [value, value, value] : value;
    } else {
      const words = kind.split("|");
      read[key] = words.indexOf(value);
      if (read[key] < 0) wrong(words.map((word) => `"${word}"`).join(" or "));
    }
  }
  return read;
}

/**
 * Puts the numbers among the fields that `paths` names (`fit`, `normalisation.mean.0`) into `room`: 0 or 1 for false or true,
 * NaN for what is absent.
 */
export function numbersOf(fields, paths, room) {
  for (const [index, path] of paths.split(" ").entries()) {
    room[index] = Number(path.split(".").reduce((value, key) => value?.[key], fields));
  }
}

/** An object with these numbers under these names. */
export const named = (names, values) => Object.fromEntries(Array.from(values, (value, index) => [names.split(" ")[index], value]));

// ---- Frames ----

// How a kind of frame tells its size, and what to say where it has none.
const frames = {
  HTMLCanvasElement: ["width", "height"],
  OffscreenCanvas: ["width", "height"],
  HTMLVideoElement: ["videoWidth", "videoHeight", "the video has no picture yet; wait for its `loadeddata` event"],
  HTMLImageElement: ["naturalWidth", "naturalHeight", "the image has not loaded, or is broken; wait for `await image.decode()`"],
  ImageBitmap: ["width", "height", "the ImageBitmap was closed; classify it before `close()`"],
  VideoFrame: ["displayWidth", "displayHeight", "the VideoFrame was closed; classify it before `close()`"],
};

/** Puts a frame's width and height into `size`, and gives its bytes where they are there to be copied. */
export function measure(frame, size) {
  const kind = frames[tag(frame)];
  const look = (key, otherwise) => (whole(frame[key]) ? frame[key] : otherwise(frame[key]));
  if (kind) {
    const [width, height, empty] = kind;
    size[0] = look(width, () => 0);
    size[1] = look(height, () => 0);
    if (empty && (!size[0] || !size[1] || frame.readyState < 2)) refuse(`frame: ${empty}`);
    return undefined;
  }
  const data = frame && typeof frame === "object" ? frame.data : undefined;
  if (data === undefined) {
    refuse(`frame: ${describe(frame)} is no picture; give a canvas, video, image, ImageBitmap, VideoFrame, ImageData or { data, width, height }`);
  }
  if (!/^Uint8(Clamped)?Array$/.test(tag(data))) refuse(`frame: data must be a Uint8ClampedArray or Uint8Array of RGBA, not ${describe(data)}`);
  const side = (key) => look(key, (value) => refuse(`frame: ${key} must be a whole number of pixels, not ${shown(value)}`));
  size[0] = side("width");
  size[1] = side("height");
  if (size[0] * size[1] * 4 !== data.length) {
    refuse(`frame: ${data.length} bytes were given for ${size[0]}×${size[1]} pixels; RGBA takes width · height · 4 bytes`);
  }
  return data;
}

/** One canvas is kept, and with `willReadFrequently` its pixels stay where they can be read. */
let surface;

function newSurface() {
  // An element is read back faster than an OffscreenCanvas, which there is in workers too.
  if (globalThis.document) return document.createElement("canvas");
  if (globalThis.OffscreenCanvas) return new OffscreenCanvas(1, 1);
  return refuse("frame: there is no canvas to draw it on here; give { data, width, height }");
}

/** The pixels of a part of a frame, drawn at the size that `measure` found, never scaled further by the browser. */
export function draw(frame, size, x, y, width, height) {
  try {
    // Bytes without transparency are read back in two thirds of the time; what is transparent lies on black.
    surface ??= newSurface().getContext("2d", { willReadFrequently: true, alpha: false });
    if (!surface) refuse("frame: the browser has no canvas left to draw it on");
    const { canvas } = surface;
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    // A frame replaces the one before, its transparent parts too. (The composite operation `copy` does the same, and takes
    // a fifth longer.)
    surface.clearRect(0, 0, width, height);
    try {
      // Shifted whole, and cut off by the canvas: naming the part takes a tenth longer, and means its pixels in the file, of
      // which an image may have others than it tells.
      surface.drawImage(frame, -x, -y, ...size);
    } catch (thrown) {
      refuse(`frame: the browser could not draw it: ${message(thrown)}`);
    }
    try {
      return surface.getImageData(0, 0, width, height).data;
    } catch (thrown) {
      if (thrown?.name !== "SecurityError") refuse(`frame: the browser gave no pixels: ${message(thrown)}`);
      return refuse(
        'frame: it comes from another origin, so the page may not read it (a tainted canvas); set crossOrigin = "anonymous" on the image or video, and let its server send Access-Control-Allow-Origin',
      );
    }
  } catch (thrown) {
    // One foreign picture taints a canvas for good; the next frame gets a new one.
    surface = undefined;
    throw thrown;
  }
}

// ---- Files ----

/** The bytes of a buffer or of a view of one, without a copy. */
export function bytesOf(source) {
  if (ArrayBuffer.isView(source)) return new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
  return /^(Shared)?ArrayBuffer$/.test(tag(source)) ? new Uint8Array(source) : undefined;
}

let fetchReaders;

/** Takes the function that fetches and starts the module of readers. */
export function lendReaders(fetch) {
  fetchReaders = fetch;
}

/** The address that a source leads to; empty for bytes. */
const addressOf = (source) => (text(source) ? source : ({ URL: source?.href, Request: source?.url, Response: source?.url }[tag(source)] ?? ""));

/** An address as `fetch` takes it; one that is none as it is, for `fetch` to refuse. */
function absolute(address) {
  try {
    return new URL(address, globalThis.document?.baseURI ?? globalThis.location?.href).href;
  } catch {
    return address;
  }
}

/** Zeros, or a sentence where there is no memory for them. */
function room(length) {
  try {
    return new Uint8Array(length);
  } catch {
    return refuse(`weights: no memory is left for ${length} bytes`);
  }
}

/** Fetches what `source` leads to, hands its bytes to `arrival`, and gives the network that this makes of them. */
export async function fetchNetwork(source, options, arrival) {
  const { signal, onProgress, integrity, cache } = options ?? {};
  const given = addressOf(source);
  const own = given && absolute(given);
  const network = arrival.network();
  let loaded = 0;
  let store;

  /** The body of a response, part by part. */
  async function read(response, place) {
    const address = response.url || place;
    if (!response.ok) refuse(`weights: ${address} answered ${`${response.status} ${response.statusText}`.trimEnd()}`);
    if (response.bodyUsed) refuse("weights: the body of this Response was read before; give a fresh one");
    if (!response.body) refuse(`weights: ${address} answered without a body`);
    const { headers } = response;
    // With an encoding the length is of what travelled, not of what arrives.
    const total = headers.has("content-encoding") ? 0 : Number(headers.get("content-length")) || 0;
    const reader = response.body.getReader();
    // What was broken off already cannot be cancelled.
    const cancel = () => reader.cancel().catch(() => {});
    // A part that never comes must not keep an aborted load waiting.
    signal?.addEventListener("abort", cancel);
    // An announced length is only a wish; memory is what the bytes that arrive ask for.
    let bytes = room(Math.min(total, 2 ** 28));
    let length = 0;
    try {
      for (;;) {
        const { done, value } = await reader.read().catch((thrown) => {
          check(signal);
          refuse(`weights: ${address} broke off after ${length} bytes (${message(thrown)}); try again`);
        });
        check(signal);
        if (done) break;
        if (!length) arrival.expect(value);
        const end = length + value.length;
        if (end > bytes.length) {
          // By half, so that unannounced lengths do not copy each part.
          const more = room(Math.max(end, Math.floor(bytes.length * 1.5)));
          more.set(bytes.subarray(0, length));
          bytes = more;
        }
        bytes.set(value, length);
        length = end;
        loaded += value.length;
        onProgress?.({ loaded, total: total && Math.max(loaded - length + total, loaded) });
      }
    } catch (thrown) {
      cancel();
      throw thrown;
    } finally {
      signal?.removeEventListener("abort", cancel);
    }
    if (length < total) refuse(`weights: ${address} broke off after ${length} of ${total} bytes; try again`);
    return { file: bytes.subarray(0, length), address };
  }

  async function fetched(input) {
    const address = addressOf(input);
    const response = await fetch(input, { signal }).catch((thrown) => {
      check(signal);
      refuse(
        `weights: ${address} could not be fetched (${message(thrown)}); check the address, the connection, and that the server allows this page to read it (CORS)`,
      );
    });
    return read(response, address);
  }

  /** The bytes of any kind of source. */
  async function take() {
    const kind = tag(source);
    if (kind === "Response") return read(source, source.url);
    if (text(source) || own) return fetched(source);
    let bytes = bytesOf(source);
    if (kind === "Blob" || kind === "File") {
      const buffer = await source.arrayBuffer().catch((thrown) => refuse(`weights: the file could not be read: ${message(thrown)}`));
      bytes = new Uint8Array(buffer);
    }
    if (!bytes) refuse(`weights must be an address, Request, Response, Blob, ArrayBuffer or Uint8Array, not ${describe(source)}`);
    loaded += bytes.length;
    onProgress?.({ loaded, total: loaded });
    return { file: bytes, address: "" };
  }

  /**
   * Checks, has foreign files turned into a native one, and fills the network. Of a file that was `kept` the files beside it
   * are taken from there too. Gives those that were fetched.
   */
  async function finish({ file, address }, kept) {
    const fresh = [];
    check(signal);
    if (integrity != null) await verify(file, integrity);
    // The bare class holds the readers itself; the package's is lent them.
    const readers = arrival.put(file, address) && (arrival.toNative ? arrival : await fetchReaders?.());
    if (readers) {
      const telling = (call) => {
        try {
          return call();
        } catch (thrown) {
          return refuse(`weights${address && ` from ${address}`}: ${message(thrown)}`);
        }
      };
      const place = (name) => {
        try {
          return new URL(name, address);
        } catch {
          return refuse(`weights: the file refers to \`${name}\` beside it, so load it by its address, not by its bytes`);
        }
      };
      const names = telling(() => readers.beside(file));
      if (integrity != null && names.length) {
        refuse("weights: integrity is of one file, and these weights lie in others beside it; make one of them with `mobilenet convert`");
      }
      const beside = [];
      for (const url of names.map(place)) {
        const held = kept && (await store.match(url).catch(() => {}));
        const { file } = await (held ? read(held, url.href) : fetched(url));
        if (!held) fresh.push([url, file]);
        beside.push(file);
      }
      check(signal);
      arrival.put(telling(() => readers.toNative(file, names, beside, options)), address);
    }
    check(signal);
    arrival.finish();
    return fresh;
  }

  /** A full or forbidden cache is no reason to refuse a network that is there. */
  async function keep(files) {
    for (const [place, file] of files) await store?.put(place, new Response(file)).catch(() => {});
  }

  try {
    // Storage may be forbidden (private windows): that is no cache, not an error.
    const wanted = cache && own && tag(source) !== "Response";
    const open = async () => globalThis.caches?.open(cache === true ? "mobilenet" : cache);
    store = wanted ? await open().catch(() => {}) : undefined;
    const kept = await store?.match(source).catch(() => {});
    if (kept) {
      try {
        await keep(await finish(await read(kept, own), true));
        return network;
      } catch {
        // What was kept may be from another version or damaged: then it is fetched as if it had not been there.
        check(signal);
        loaded = 0;
      }
    }
    const arrived = await take();
    await keep([...(await finish(arrived)), [source, arrived.file]]);
    return network;
  } catch (thrown) {
    network.free();
    throw thrown;
  } finally {
    arrival.free();
  }
}

/** Whether one of the hashes of the strongest kind named is the bytes' own, as `<script integrity>` has it. */
async function verify(bytes, integrity) {
  const items = integrity.split(/\s+/);
  const bits = [512, 384, 256].find((bits) => items.some((item) => item.startsWith(`sha${bits}-`)));
  if (!bits) refuse(`integrity must be sha256-, sha384- or sha512- and a hash in base 64, not "${integrity}"`);
  const subtle = globalThis.crypto?.subtle;
  if (!subtle) refuse("integrity can only be checked on a page served over https or from localhost");
  // What is shared with other threads is refused there.
  const own = tag(bytes.buffer) === "SharedArrayBuffer" ? bytes.slice() : bytes;
  const digest = new Uint8Array(await subtle.digest(`SHA-${bits}`, own));
  const plain = (hash) => hash.replace(/[?=].*/, "");
  const right = `sha${bits}-${plain(btoa(String.fromCharCode(...digest)))}`;
  if (items.some((item) => plain(item) === right)) return;
  const found = Array.from(digest.subarray(0, 8), (byte) => byte.toString(16).padStart(2, "0")).join("");
  refuse(`weights: the file is not the one that integrity names: its SHA-${bits} begins with ${found}; it was changed, or cut off on its way`);
}

// ---- Teaching ----

/** Milliseconds after which the page may draw. */
const breath = 12;

/** Passes over the examples until all are done; gives the report. */
export async function runCourse(course, options) {
  const { signal, onEpoch } = options;
  const began = performance.now();
  let rested = began;
  try {
    for (let epoch = 0; epoch < course.epochs; epoch++) {
      course.pass();
      if (onEpoch) onEpoch(epoch, course.logs());
      if (performance.now() - rested > breath) {
        await new Promise((resolve) => setTimeout(resolve));
        rested = performance.now();
      }
      check(signal);
    }
    return { ...course.finish(), milliseconds: performance.now() - began };
  } finally {
    course.free();
  }
}

/**
 * Fetches a model file: from an address, `Request`, `Response`, `Blob` or buffer, with progress, abort, integrity and
 * cache. What is made of the file is the caller's: see `Reader`.
 */
import { describe, fail, MobileNetError, reason, tagOf } from "./error.js";
import type { Progress } from "./simd128/mobilenet.js";

/** How a model file is fetched. */
export interface FetchOptions {
  /** Called for every part that arrives, and once for bytes that are there. */
  onProgress?: (progress: Progress) => void;
  /** Stops the load; the promise rejects with the signal's reason. */
  signal?: AbortSignal;
  /** Subresource integrity of the file: `sha256-…`, `sha384-…` or `sha512-…`; not for a file that refers to others. */
  integrity?: string;
  /** Keep the file in the browser's Cache storage, under this name or `mobilenet`. Default false. */
  cache?: boolean | string;
}

/** The bytes of a file and its address after redirects; the address is "" if the bytes did not come from one. */
export interface ModelFile {
  bytes: Uint8Array;
  address: string;
}

/** Bounds on what comes over the network. */
export interface DownloadLimits {
  /** Bytes that a model may have, unpacked, with all of its files. Default 512 MiB. */
  maxBytes?: number;
  /** Milliseconds to wait for the next byte. Default 60,000; `Infinity` waits without end. */
  timeout?: number;
}

/** What is done with the file. */
export interface Reader<T> {
  /** Called with the first part as soon as it is there, before the rest. */
  begin?(part: Uint8Array): void;
  /** Makes the result. `companions` fetches the files that this one refers to, in the order of their names. */
  finish(file: ModelFile, companions: (names: string[]) => Promise<Uint8Array[]>): T | Promise<T>;
}

/** What a page's relative addresses are relative to, `<base>` included; undefined in Node. */
export const base = (): string | undefined => globalThis.document?.baseURI ?? globalThis.location?.href;

/** The whole address of a relative one; what is no address is given back for `fetch` to refuse. */
export function absolute(address: string): string {
  try {
    return new URL(address, base()).href;
  } catch {
    return address;
  }
}

/** Node's `fetch` reads no files, so it is done here; undefined for anything but a `file:` address in Node. */
export async function readFile(source: unknown): Promise<Uint8Array | undefined> {
  const address = tagOf(source) === "URL" || typeof source === "string" ? String(source) : "";
  if (!/^file:/i.test(address) || !("process" in globalThis)) return undefined;
  const { readFile } = await import(/* webpackIgnore: true */ /* @vite-ignore */ "node:fs/promises");
  return readFile(new URL(address));
}

/** Checks what the caller gave. `undefined` and `null` are absent. */
export function checkFetchOptions(options: FetchOptions & DownloadLimits): void {
  const { signal, onProgress, integrity, cache, maxBytes, timeout } = options;
  const check = (valid: boolean, name: string, rule: string, value: unknown) => {
    if (value != null && !valid) fail("invalid-option", `${name}: must be ${rule}, got ${describe(value)}`);
  };
  check(tagOf(signal) === "AbortSignal", "signal", "an AbortSignal", signal);
  check(typeof onProgress === "function", "onProgress", "a function", onProgress);
  check(typeof cache === "boolean" || typeof cache === "string", "cache", "true, false or a name", cache);
  const isHash = typeof integrity === "string" && strongest(integrity) > 0;
  for (const [name, value] of Object.entries({ maxBytes, timeout }))
    check(typeof value === "number" && value > 0, name, "a number above 0", value);
  check(isHash, "integrity", "sha256-, sha384- or sha512- and a hash in base64", integrity);
}

/** Fetches what `source` leads to and gives what `reader` makes of it. */
export async function fetchModel<T>(
  source: unknown,
  options: FetchOptions & DownloadLimits,
  reader: Reader<T>,
): Promise<T> {
  const { signal, integrity, cache } = options;
  const address = addressOf(source);
  const usesCache = cache && address && tagOf(source) !== "Response";
  const storage = usesCache ? await openCache(cache) : undefined;
  const store = async (place: RequestInfo | URL, bytes: Uint8Array) => {
    try {
      const headers = { [mark]: await markOf(place, bytes) };
      await storage?.put(place, new Response(bytes as BufferSource, { headers }));
    } catch {
      // A full or forbidden cache does not fail the load.
    }
  };
  /** The kept file, unless its bytes are not those that were stored for this address. */
  const kept = async (place: RequestInfo | URL, download: Download): Promise<ModelFile | undefined> => {
    const response = await storage?.match(place).catch(() => undefined);
    const stored = response?.headers.get(mark);
    if (!response || !stored) return undefined;
    const file = await download.read(response, absolute(addressOf(place)));
    return (await markOf(place, file.bytes)) === stored ? file : undefined;
  };

  /** Checks the file and has it read; then stores the companions that were fetched for it. */
  async function finish(download: Download, file: ModelFile, isCached: boolean): Promise<T> {
    signal?.throwIfAborted();
    if (integrity != null) await verify(file.bytes, integrity);
    const fetched: [URL, Uint8Array][] = [];
    const network = await reader.finish(file, async (names) => {
      if (integrity != null && names.length > 0) {
        fail(
          "integrity",
          "integrity: must be left out for a model in several files, because it is checked for one file; convert the model with `mobilenet convert`",
        );
      }
      const parts: Uint8Array[] = [];
      for (const url of names.map((name) => companionUrl(name, file.address))) {
        const cached = isCached ? await kept(url, download) : undefined;
        const { bytes } = cached ?? (await download.fetch(url));
        if (!cached) fetched.push([url, bytes]);
        parts.push(bytes);
      }
      return parts;
    });
    for (const [url, bytes] of fetched) await store(url, bytes);
    return network;
  }

  try {
    const download = new Download(options, reader);
    const file = storage && (await kept(source as RequestInfo, download));
    if (file) return await finish(download, file, true);
  } catch {
    // The kept file may be damaged or of another version: then it is fetched as if it were not there.
    signal?.throwIfAborted();
  }
  const download = new Download(options, reader);
  const file = await download.take(source);
  const network = await finish(download, file, false);
  await store(source as RequestInfo, file.bytes);
  return network;
}

/** One download, with all of its files: counts and bounds the bytes. */
export class Download {
  #loaded = 0;
  #begun = false;
  readonly #options: FetchOptions;
  readonly #begin: (part: Uint8Array) => void;
  readonly #what: string;
  readonly #maxBytes: number;
  /** In milliseconds, no longer than timers can be. */
  readonly #timeout: number;

  /** `what` is the option that names the source, for messages. */
  constructor(options: FetchOptions & DownloadLimits, reader: Pick<Reader<unknown>, "begin">, what = "weights") {
    this.#options = options;
    this.#begin = (part) => reader.begin?.(part);
    this.#what = what;
    this.#maxBytes = options.maxBytes ?? 2 ** 29;
    this.#timeout = Math.min(options.timeout ?? 60_000, 2 ** 31 - 1);
  }

  /** The bytes of any kind of source. */
  async take(source: unknown): Promise<ModelFile> {
    const tag = tagOf(source);
    if (tag === "Response") return this.read(source as Response, (source as Response).url);
    if (typeof source === "string" || addressOf(source)) return this.fetch(source as RequestInfo | URL);
    this.#bound((source as Blob | undefined)?.size, "the file");
    return this.#whole(await bytesOf(source, tag), "");
  }

  async fetch(input: RequestInfo | URL): Promise<ModelFile> {
    const { signal } = this.#options;
    const address = addressOf(input);
    const refuse = (verb: string, cure: string) => (thrown: unknown) => {
      signal?.throwIfAborted();
      if (thrown instanceof MobileNetError) throw thrown;
      return fail(
        "network",
        `${this.#what}: ${address} could not be ${verb} (${reason(thrown)}); check the address${cure}`,
        thrown,
      );
    };
    const bytes = await readFile(input).catch(refuse("read", ""));
    if (bytes) return this.#whole(bytes, address);
    const cors = ", the connection, and that the server allows this page to read it (CORS)";
    const controller = new AbortController();
    const stop = () => controller.abort();
    // A request may have a signal of its own.
    const signals = [signal, (input as Request).signal];
    for (const one of signals) one?.addEventListener("abort", stop);
    if (signals.some((one) => one?.aborted)) stop();
    try {
      const asked = fetch(input, { signal: controller.signal });
      const response = await this.#intime(asked, address, 0).catch(refuse("fetched", cors));
      return await this.read(response, address);
    } catch (thrown) {
      stop();
      throw thrown;
    } finally {
      for (const one of signals) one?.removeEventListener("abort", stop);
    }
  }

  /** What arrives before the time for it is over. */
  async #intime<T>(arriving: Promise<T>, address: string, length: number): Promise<T> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        const problem = `sent nothing for ${this.#timeout / 1000} s after ${length} bytes`;
        const cure = "try again, or set the option timeout";
        reject(new MobileNetError("network", `${this.#what}: ${address || "the response"} ${problem}; ${cure}`));
      }, this.#timeout);
    });
    try {
      return await Promise.race([arriving, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Refuses more bytes than are allowed. */
  #bound(bytes: number | undefined, address: string): void {
    if (!bytes || bytes <= this.#maxBytes) return;
    const rule = `must have at most ${this.#maxBytes} bytes, got ${bytes} or more`;
    fail(
      "network",
      `${this.#what}: ${address || "the response"} ${rule}; check the address, or set the option maxBytes`,
    );
  }

  /** The body of a response, part by part. */
  async read(response: Response, place: string): Promise<ModelFile> {
    const { signal, onProgress } = this.#options;
    const address = response.url || place;
    const refuse = (problem: string, thrown?: unknown) =>
      fail("network", `${this.#what}: ${address || "the response"} ${problem}`, thrown);
    if (!response.ok) refuse(`answered ${response.status} ${response.statusText}`.trimEnd());
    if (response.bodyUsed) refuse("was read before; give a fresh Response");
    if (!response.body) return refuse("answered without a body");
    const { headers } = response;
    // With an encoding the length is that of what travels, not of what arrives.
    const total = headers.has("content-encoding") ? 0 : Number(headers.get("content-length")) || 0;
    this.#bound(this.#loaded + total, address);
    const body = response.body.getReader();
    // A body that broke off cannot be cancelled any more.
    const cancel = () => void body.cancel().catch(() => {});
    // An abort must not wait for a part that may never come.
    signal?.addEventListener("abort", cancel);
    // The announced length may be wrong; memory is taken for the bytes that arrive.
    let bytes = allocate(Math.min(total, 2 ** 28));
    let length = 0;
    try {
      for (;;) {
        const { done, value } = await this.#intime(body.read(), address, length).catch((thrown) => {
          signal?.throwIfAborted();
          if (thrown instanceof MobileNetError) throw thrown;
          return refuse(`broke off after ${length} bytes (${reason(thrown)}); try again`, thrown);
        });
        signal?.throwIfAborted();
        if (done) break;
        this.#bound(this.#loaded + value.length, address);
        this.#start(value);
        const end = length + value.length;
        // Grows by half, so that a body without an announced length is not copied at every part.
        if (end > bytes.length) bytes = grow(bytes.subarray(0, length), Math.max(end, Math.floor(bytes.length * 1.5)));
        bytes.set(value, length);
        length = end;
        this.#loaded += value.length;
        onProgress?.({ loaded: this.#loaded, total: total && Math.max(this.#loaded - length + total, this.#loaded) });
      }
    } catch (thrown) {
      cancel();
      throw thrown;
    } finally {
      signal?.removeEventListener("abort", cancel);
    }
    if (length < total) refuse(`broke off after ${length} of ${total} bytes; try again`);
    return { bytes: bytes.subarray(0, length), address };
  }

  /** A file whose bytes are all there. */
  #whole(bytes: Uint8Array, address: string): ModelFile {
    this.#bound(this.#loaded + bytes.length, address || "the file");
    this.#start(bytes);
    this.#loaded += bytes.length;
    this.#options.onProgress?.({ loaded: this.#loaded, total: this.#loaded });
    return { bytes, address };
  }

  #start(part: Uint8Array): void {
    if (!this.#begun) this.#begin(part);
    this.#begun = true;
  }
}

/** The address that a source leads to; "" for bytes. */
function addressOf(source: unknown): string {
  if (typeof source === "string") return source;
  const tag = tagOf(source);
  if (tag === "URL") return (source as URL).href;
  return tag === "Request" || tag === "Response" ? (source as Request).url : "";
}

async function bytesOf(source: unknown, tag: string): Promise<Uint8Array> {
  // Neither a buffer nor a view of one is copied.
  if (ArrayBuffer.isView(source)) return new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
  if (/^(Shared)?ArrayBuffer$/.test(tag)) return new Uint8Array(source as ArrayBuffer);
  if (tag !== "Blob" && tag !== "File") {
    fail(
      "invalid-option",
      `weights: must be an address, Request, Response, Blob, ArrayBuffer or Uint8Array, got ${describe(source)}`,
    );
  }
  const buffer = await (source as Blob).arrayBuffer().catch((thrown) => {
    return fail("network", `weights: the file could not be read (${reason(thrown)}); choose it again`, thrown);
  });
  return new Uint8Array(buffer);
}

function companionUrl(name: string, address: string): URL {
  try {
    return new URL(name, address);
  } catch {
    return fail(
      "invalid-option",
      `weights: the model needs the file \`${name}\` from the same place; load the model by its address, not by its bytes`,
    );
  }
}

function allocate(length: number): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(length);
  } catch (thrown) {
    return fail(
      "out-of-memory",
      `weights: no memory is left for ${length} bytes; use a smaller model or close other pages`,
      thrown,
    );
  }
}

function grow(bytes: Uint8Array, length: number): Uint8Array<ArrayBuffer> {
  const larger = allocate(length);
  larger.set(bytes);
  return larger;
}

/** Header of a kept file: the hash of its bytes, and its address. */
const mark = "x-mobilenet-file";

const markOf = async (place: RequestInfo | URL, bytes: Uint8Array): Promise<string> =>
  `${await hash(bytes, 256)} ${absolute(addressOf(place))}`;

/** Storage may be forbidden (private windows): that means no cache, not an error. */
async function openCache(cache: true | string): Promise<Cache | undefined> {
  try {
    // What is kept cannot be checked without it.
    if (!globalThis.crypto?.subtle) return undefined;
    return await globalThis.caches?.open(cache === true ? "mobilenet" : cache);
  } catch {
    return undefined;
  }
}

/** The bits of the strongest kind of hash among those given; 0 without any. */
const strongest = (integrity: string): number =>
  [512, 384, 256].find((bits) => items(integrity).some((item) => item.startsWith(`sha${bits}-`))) ?? 0;

const items = (integrity: string): string[] => integrity.split(/\s+/);

/** As in `integrity`, without padding. */
async function hash(bytes: Uint8Array, bits: number): Promise<string> {
  // Memory shared between threads is refused there.
  const own = tagOf(bytes.buffer) === "SharedArrayBuffer" ? bytes.slice() : bytes;
  const digest = new Uint8Array(await crypto.subtle.digest(`SHA-${bits}`, own as BufferSource));
  return `sha${bits}-${plain(btoa(String.fromCharCode(...digest)))}`;
}

const plain = (hash: string): string => hash.replace(/[?=].*/, "");

/** Checks that a hash of the strongest kind is that of the bytes, as `<script integrity>` does. */
async function verify(bytes: Uint8Array, integrity: string): Promise<void> {
  if (!globalThis.crypto?.subtle)
    fail("integrity", "integrity: cannot be checked on this page; serve it over https or from localhost");
  const right = await hash(bytes, strongest(integrity));
  if (items(integrity).some((item) => plain(item) === right)) return;
  fail(
    "integrity",
    `weights: the file must have the hash that integrity names, got ${right}; it was changed or cut off on its way, or the hash is that of another file`,
  );
}

// What the tests share: a server on 127.0.0.1, responses that come in parts or break off, a Cache storage in memory.
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { fetchModel, type ModelFile, type Reader } from "../../pkg/src/fetch.ts";
import type { FetchOptions } from "../../pkg/src/index.ts";

export type Handler = (response: ServerResponse, path: string) => void;

export interface Server {
  url: string;
  /** Paths in the order in which they were asked for. */
  asked: string[];
  files: Map<string, Uint8Array | Handler>;
  close(): Promise<unknown>;
}

/** Serves `files` by their paths; anything else is 404. */
export async function serve(): Promise<Server> {
  const asked: string[] = [];
  const files: Server["files"] = new Map();
  const server = createServer((request, response) => {
    const path = request.url ?? "";
    asked.push(path);
    const file = files.get(path);
    if (typeof file === "function") return file(response, path);
    if (!file) return response.writeHead(404).end();
    response
      .writeHead(200, {
        "content-length": file.length,
        ...(path.endsWith(".wasm") && { "content-type": "application/wasm" }),
      })
      .end(file);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const close = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return { url: `http://127.0.0.1:${port}`, asked, files, close };
}

/** The smallest module there is. */
export const wasm = Uint8Array.from([0, 97, 115, 109, 1, 0, 0, 0]);

export const text = (string: string): Uint8Array => new TextEncoder().encode(string);

/** A file of 100 bytes that is of no known format. */
export const file: Uint8Array = Uint8Array.from({ length: 100 }, (_, index) => index + 100);

/** A response that gives the bytes in parts, and breaks off or waits for ever after some of them. */
export function slowResponse(
  bytes: Uint8Array,
  { parts = 4, breakAfter = Infinity, stopAfter = Infinity, headers = {} } = {},
): Response {
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

export async function integrityOf(bytes: Uint8Array, bits = 256): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest(`SHA-${bits}`, bytes as BufferSource));
  return `sha${bits}-${btoa(String.fromCharCode(...digest))}`;
}

/** `caches` as a browser has it; what is relative is relative to `base`. */
export function memoryCaches(base = "http://base.test/"): {
  stores: Map<string, Map<string, Response>>;
  open(name: string): Promise<unknown>;
} {
  const stores = new Map<string, Map<string, Response>>();
  const key = (input: RequestInfo | URL) => (input instanceof Request ? input.url : new URL(input, base).href);
  return {
    stores,
    async open(name) {
      const store = stores.get(name) ?? new Map<string, Response>();
      stores.set(name, store);
      return {
        match: async (input: RequestInfo | URL) => store.get(key(input))?.clone(),
        put: async (input: RequestInfo | URL, response: Response) => void store.set(key(input), response),
      };
    },
  };
}

/** A response as it is kept in the cache for an address. */
export async function keptResponse(bytes: Uint8Array, address: string): Promise<Response> {
  const hash = (await integrityOf(bytes)).replace(/=+$/, "");
  return new Response(bytes as BodyInit, { headers: { "x-mobilenet-file": `${hash} ${address}` } });
}

/** The error of a promise that must be rejected: name, code and message. */
export async function refusal(
  promise: Promise<unknown>,
): Promise<{ name: string; code?: string; message: string; cause?: unknown }> {
  return promise.then(
    (value) => Promise.reject(new Error(`it was not rejected, but gave ${JSON.stringify(value)}`)),
    (error) => error,
  );
}

/** The file that `source` leads to. */
export const fetched = (source: unknown, options: FetchOptions = {}): Promise<ModelFile> =>
  fetchModel(source, options, { finish: ({ bytes, address }) => ({ bytes: bytes.slice(), address }) });

/** As a model in several files: the names are the lines of the first one. The files' texts. */
export const several: Reader<string> = {
  async finish({ bytes }, companions) {
    const decode = (part: Uint8Array) => new TextDecoder().decode(part);
    const parts = await companions(decode(bytes).split("\n"));
    if (parts.some((part) => decode(part) === "damaged")) throw new Error("damaged");
    return parts.map(decode).join();
  },
};

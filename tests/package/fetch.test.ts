// Fetching a model: every kind of source, progress, abort, integrity, and what may go wrong on the way.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { checkFetchOptions, fetchModel } from "../../pkg/src/fetch.ts";
import type { FetchOptions } from "../../pkg/src/index.ts";
import {
  fetched,
  file,
  integrityOf,
  memoryCaches,
  refusal,
  type Server,
  serve,
  several,
  slowResponse,
  text,
} from "./helpers.ts";

let server: Server;
beforeAll(async () => {
  server = await serve();
});
afterAll(() => server.close());
beforeEach(() => {
  server.files.clear();
  server.files.set("/net", file);
  server.asked.length = 0;
});

describe("sources", () => {
  test.each<[string, (address: string) => unknown]>([
    ["Uint8Array", () => file],
    ["ArrayBuffer", () => file.buffer],
    [
      "a view in the midst of a buffer",
      () => {
        const whole = new Uint8Array(file.length + 9);
        whole.set(file, 4);
        return whole.subarray(4, 4 + file.length);
      },
    ],
    ["DataView", () => new DataView(file.buffer)],
    [
      "SharedArrayBuffer",
      () => {
        const shared = new SharedArrayBuffer(file.length);
        new Uint8Array(shared).set(file);
        return shared;
      },
    ],
    ["Blob", () => new Blob([file as BlobPart])],
    ["File", () => new File([file as BlobPart], "net.safetensors")],
    ["address", (address) => address],
    ["URL", (address) => new URL(address)],
    ["Request", (address) => new Request(address)],
    ["Response", () => new Response(file as BodyInit)],
    ["Response in parts", () => slowResponse(file, { parts: 7 })],
    ["data: address", () => `data:;base64,${Buffer.from(file).toString("base64")}`],
  ])("%s", async (_, source) => {
    const { bytes } = await fetched(source(`${server.url}/net`));
    expect(bytes).toEqual(file);
    expect(file.length, "the caller's bytes were taken away").toBe(100);
  });

  test("of another window, which are no instances of this one's classes", async () => {
    const foreign = { [Symbol.toStringTag]: "Blob", arrayBuffer: async () => file.buffer };
    expect((await fetched(foreign)).bytes).toEqual(file);
  });

  test("a file in Node, with files beside it", async () => {
    const folder = mkdtempSync(join(tmpdir(), "mobilenet-fetch-"));
    const address = pathToFileURL(join(folder, "model.json"));
    writeFileSync(address, "a.bin\nb.bin");
    writeFileSync(join(folder, "a.bin"), "A");
    writeFileSync(join(folder, "b.bin"), "B");
    expect(await fetchModel(address, {}, several)).toBe("A,B");
    expect(await fetchModel(address.href, {}, several)).toBe("A,B");
    rmSync(folder, { recursive: true });
    const { code, message } = await refusal(fetched(address));
    expect(code).toBe("network");
    expect(message).toMatch(/^weights: file:.*model\.json could not be read \(ENOENT.*\); check the address$/);
  });

  test.each<[unknown, string]>([
    [undefined, "undefined"],
    [null, "null"],
    [3, "3"],
    [{}, "an object"],
    [[1, 2], "an array"],
    [{ [Symbol.toStringTag]: "HTMLBodyElement" }, "an HTMLBodyElement"],
    [() => 1, "a function"],
  ])("%o is none", async (source, named) => {
    const { code, message } = await refusal(fetched(source));
    expect(code).toBe("invalid-option");
    expect(message).toBe(
      `weights: must be an address, Request, Response, Blob, ArrayBuffer or Uint8Array, got ${named}`,
    );
  });
});

describe("options", () => {
  test.each<[object, string]>([
    [{ onProgress: 3 }, "onProgress: must be a function, got 3"],
    [{ integrity: 3 }, "integrity: must be sha256-, sha384- or sha512- and a hash in base64, got 3"],
    [{ integrity: "md5-abc" }, 'integrity: must be sha256-, sha384- or sha512- and a hash in base64, got "md5-abc"'],
    [{ integrity: "" }, 'integrity: must be sha256-, sha384- or sha512- and a hash in base64, got ""'],
    [{ cache: 3 }, "cache: must be true, false or a name, got 3"],
    [{ maxBytes: -1 }, "maxBytes: must be a number above 0, got -1"],
    [{ maxBytes: NaN }, "maxBytes: must be a number above 0, got NaN"],
    [{ timeout: "9" }, 'timeout: must be a number above 0, got "9"'],
    [{ signal: "now" }, 'signal: must be an AbortSignal, got "now"'],
    [{ signal: {} }, "signal: must be an AbortSignal, got an object"],
  ])("%o is refused", (options, message) => {
    expect(() => checkFetchOptions(options)).toThrow(
      expect.objectContaining({ name: "MobileNetError", code: "invalid-option", message }),
    );
  });

  test("undefined and null are absent", () => {
    checkFetchOptions({});
    checkFetchOptions({ onProgress: undefined, integrity: undefined, cache: undefined, signal: undefined });
    checkFetchOptions({ onProgress: null, integrity: null, cache: null, signal: null } as unknown as FetchOptions);
  });
});

describe("progress", () => {
  test.each([
    [{ "content-length": "100" }, 100],
    [{}, 0],
    [{ "content-length": "100", "content-encoding": "gzip" }, 0],
  ])("is told as it comes: %o", async (headers, total) => {
    const calls: { loaded: number; total: number }[] = [];
    await fetched(slowResponse(file, { parts: 4, headers }), { onProgress: (progress) => calls.push(progress) });
    expect(calls).toEqual([25, 50, 75, 100].map((loaded) => ({ loaded, total })));
  });

  test("a total that is too small grows", async () => {
    const calls: { loaded: number; total: number }[] = [];
    await fetched(slowResponse(file, { parts: 4, headers: { "content-length": "60" } }), {
      onProgress: (progress) => calls.push(progress),
    });
    expect(calls.map(({ total }) => total)).toEqual([60, 60, 75, 100]);
  });

  test("of bytes that are there is told once", async () => {
    for (const source of [file, new Blob([file as BlobPart])]) {
      const onProgress = vi.fn();
      await fetched(source, { onProgress });
      expect(onProgress.mock.calls).toEqual([[{ loaded: 100, total: 100 }]]);
    }
  });

  test("counts the files beside the first one", async () => {
    server.files.set("/model.json", text("a\nb")).set("/a", text("123")).set("/b", text("45678"));
    const loaded: number[] = [];
    await fetchModel(`${server.url}/model.json`, { onProgress: (progress) => loaded.push(progress.loaded) }, several);
    expect(loaded).toEqual([3, 6, 11]);
  });

  test("an encoded body comes whole", async () => {
    const packed = gzipSync(file);
    server.files.set("/packed", (response) =>
      response.writeHead(200, { "content-encoding": "gzip", "content-length": packed.length }).end(packed),
    );
    const onProgress = vi.fn();
    expect((await fetched(`${server.url}/packed`, { onProgress })).bytes).toEqual(file);
    expect(onProgress).toHaveBeenLastCalledWith({ loaded: 100, total: 0 });
  });

  test("what its callback throws ends the load", async () => {
    const onProgress = () => {
      throw new Error("not mine");
    };
    for (const source of [file, slowResponse(file)])
      expect((await refusal(fetched(source, { onProgress }))).message).toBe("not mine");
  });

  test("the first part is shown before the others, once a load", async () => {
    const begin = vi.fn();
    await fetchModel(slowResponse(file, { parts: 4 }), {}, { begin, finish: () => {} });
    await fetchModel(file, {}, { begin, finish: () => {} });
    expect(begin.mock.calls.map(([part]) => part.length)).toEqual([25, 100]);
  });
});

describe("what the network may do wrong", () => {
  test("an address that is not there", async () => {
    const { code, message } = await refusal(fetched(`${server.url}/no/such/file`));
    expect([code, message]).toEqual(["network", `weights: ${server.url}/no/such/file answered 404 Not Found`]);
  });

  test("a server that is not there", async () => {
    const { code, message } = await refusal(fetched("http://127.0.0.1:1/net"));
    expect(code).toBe("network");
    expect(message).toMatch(
      /^weights: http:\/\/127\.0\.0\.1:1\/net could not be fetched \(.*\); check the address, the connection, .*CORS/,
    );
  });

  test("an address that is none", async () => {
    expect((await refusal(fetched("http://"))).message).toMatch(/^weights: http:\/\/ could not be fetched/);
  });

  test("a status that is no success", async () => {
    expect((await refusal(fetched(new Response("x", { status: 503, statusText: "Busy" })))).message).toBe(
      "weights: the response answered 503 Busy",
    );
    expect((await refusal(fetched(new Response("x", { status: 500 })))).message).toBe(
      "weights: the response answered 500",
    );
  });

  test("a body that was read before, or is not there", async () => {
    const read = new Response(file as BodyInit);
    await read.arrayBuffer();
    expect((await refusal(fetched(read))).message).toMatch(/was read before; give a fresh Response/);
    expect((await refusal(fetched(new Response(null)))).message).toMatch(/answered without a body/);
  });

  test("a body that breaks off", async () => {
    const { code, message } = await refusal(fetched(slowResponse(file, { breakAfter: 2 })));
    expect([code, message]).toEqual([
      "network",
      "weights: the response broke off after 50 bytes (connection lost); try again",
    ]);
    server.files.set("/broken", (response) => {
      response.writeHead(200, { "content-length": 200 }).write(file);
      setTimeout(() => response.destroy(), 50);
    });
    expect((await refusal(fetched(`${server.url}/broken`))).message).toMatch(
      /\/broken broke off after 100 bytes \(.*\); try again/,
    );
  });

  test.each([["200"], ["99999999999999"]])("a body that is shorter than announced: %s", async (length) => {
    const lying = slowResponse(file, { headers: { "content-length": length } });
    const { message } = await refusal(fetched(lying, { maxBytes: Infinity }));
    expect(message).toBe(`weights: the response broke off after 100 of ${length} bytes; try again`);
  });

  test("more bytes than maxBytes, announced or not, packed or not", async () => {
    const given = [
      slowResponse(file, { headers: { "content-length": "100" } }),
      slowResponse(file),
      new Blob([file as BlobPart]),
      file,
    ];
    const bytes = [];
    for (const source of given) {
      const { code, message } = await refusal(fetched(source, { maxBytes: 60 }));
      expect(code).toBe("network");
      expect(message).toMatch(
        /^weights: the (response|file) must have at most 60 bytes, got \d+ or more; check the address, or set the option maxBytes$/,
      );
      bytes.push(message.match(/got (\d+)/)?.[1]);
    }
    expect(bytes).toEqual(["100", "75", "100", "100"]);
    for (const source of [slowResponse(file), new Blob([file as BlobPart]), file])
      await fetched(source, { maxBytes: 100 });
    const packed = gzipSync(new Uint8Array(1e6));
    server.files.set("/bomb", (response) => response.writeHead(200, { "content-encoding": "gzip" }).end(packed));
    expect((await refusal(fetched(`${server.url}/bomb`, { maxBytes: 1e5 }))).message).toContain(
      `${server.url}/bomb must have at most 100000 bytes`,
    );
  });

  test("an endless body is given up at maxBytes, and one of 600 MB at the default", async () => {
    const closed = new Promise((resolve) => {
      server.files.set("/endless", (response) => {
        const more = setInterval(() => response.write(file), 1);
        response.on("close", () => resolve(clearInterval(more)));
      });
    });
    expect((await refusal(fetched(`${server.url}/endless`, { maxBytes: 500 }))).code).toBe("network");
    await closed;
    const large = slowResponse(file, { headers: { "content-length": "600000000" } });
    expect((await refusal(fetched(large))).message).toContain("at most 536870912 bytes, got 600000000");
  });

  test("files beside the first one count for maxBytes", async () => {
    server.files.set("/model.json", text("a")).set("/a", file);
    const { message } = await refusal(fetchModel(`${server.url}/model.json`, { maxBytes: 100 }, several));
    expect(message).toContain(`${server.url}/a must have at most 100 bytes, got 101 or more`);
  });

  test("silence ends after timeout: before the answer, and in the midst of it", async () => {
    const closed = new Promise((resolve) => {
      server.files.set("/silent", (response) => void response.on("close", resolve));
    });
    const silent = await refusal(fetched(`${server.url}/silent`, { timeout: 40 }));
    expect([silent.code, silent.message]).toEqual([
      "network",
      `weights: ${server.url}/silent sent nothing for 0.04 s after 0 bytes; try again, or set the option timeout`,
    ]);
    await closed;
    const stalled = await refusal(fetched(slowResponse(file, { stopAfter: 2 }), { timeout: 40 }));
    expect([stalled.code, stalled.message]).toEqual([
      "network",
      "weights: the response sent nothing for 0.04 s after 50 bytes; try again, or set the option timeout",
    ]);
  });

  test("a body that goes on slowly is no silence, and Infinity waits", async () => {
    server.files.set("/slow", (response) => {
      let sent = 0;
      const more = setInterval(() => {
        response.write(file.subarray(sent, ++sent));
        if (sent === 20) response.end(() => clearInterval(more));
      }, 20);
    });
    expect((await fetched(`${server.url}/slow`, { timeout: 300 })).bytes.length).toBe(20);
    expect((await fetched(`${server.url}/net`, { timeout: Infinity })).bytes).toEqual(file);
  });

  test("no timer is left behind", async () => {
    const [set, clear] = [vi.spyOn(globalThis, "setTimeout"), vi.spyOn(globalThis, "clearTimeout")];
    await fetched(slowResponse(file), {});
    expect(set.mock.calls.every(([, delay]) => delay === 60_000)).toBe(true);
    expect([set.mock.calls.length, clear.mock.calls.length]).toEqual([5, 5]);
    vi.restoreAllMocks();
  });

  test("a request's own signal counts too", async () => {
    server.files.set("/silent", () => {});
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 20);
    const { code } = await refusal(fetched(new Request(`${server.url}/silent`, { signal: controller.signal })));
    expect(code).toBe("network");
  });

  test("a file that cannot be read any more", async () => {
    const gone = { [Symbol.toStringTag]: "File", arrayBuffer: () => Promise.reject(new Error("it was moved")) };
    expect((await refusal(fetched(gone))).message).toBe(
      "weights: the file could not be read (it was moved); choose it again",
    );
  });
});

describe("abort", () => {
  test("before the load", async () => {
    for (const source of [file, new Blob([file as BlobPart]), `${server.url}/net`, slowResponse(file)]) {
      expect((await refusal(fetched(source, { signal: AbortSignal.abort() }))).name).toBe("AbortError");
    }
  });

  test("while the server does not answer", async () => {
    server.files.set("/silent", () => {});
    const controller = new AbortController();
    setTimeout(() => controller.abort(new Error("changed my mind")), 20);
    expect((await refusal(fetched(`${server.url}/silent`, controller))).message).toBe("changed my mind");
  });

  test.each([[{ parts: 6 }], [{ stopAfter: 2 }]])("in the midst of a body: %o", async (how) => {
    const controller = new AbortController();
    const onProgress = vi.fn(() => void setTimeout(() => controller.abort(new Error("changed my mind")), 20));
    const slow = slowResponse(file, { ...how, ...(how.parts && { stopAfter: 3 }) });
    const { message } = await refusal(fetched(slow, { signal: controller.signal, onProgress }));
    expect(message).toBe("changed my mind");
    expect(onProgress).toHaveBeenCalled();
  });

  test("by the callback of progress, which hears no more", async () => {
    const controller = new AbortController();
    const onProgress = vi.fn(() => controller.abort(new Error("enough")));
    expect((await refusal(fetched(slowResponse(file), { signal: controller.signal, onProgress }))).message).toBe(
      "enough",
    );
    expect(onProgress).toHaveBeenCalledTimes(1);
  });

  test("while a blob is read", async () => {
    const controller = new AbortController();
    const blob = {
      [Symbol.toStringTag]: "Blob",
      arrayBuffer: async () => {
        controller.abort(new Error("enough"));
        return file.buffer;
      },
    };
    expect((await refusal(fetched(blob, controller))).message).toBe("enough");
  });

  test("while a file beside the first one is fetched", async () => {
    server.files.set("/model.json", text("a")).set("/a", () => controller.abort(new Error("enough")));
    const controller = new AbortController();
    expect((await refusal(fetchModel(`${server.url}/model.json`, controller, several))).message).toBe("enough");
  });

  test("while a kept file is read, which is not fetched then", async () => {
    const caches = memoryCaches();
    vi.stubGlobal("caches", caches);
    await caches.open("mobilenet");
    caches.stores.get("mobilenet")?.set(`${server.url}/net`, {
      ok: true,
      body: slowResponse(file, { stopAfter: 1 }).body,
      headers: new Headers({ "x-mobilenet-file": "sha256-any" }),
      clone() {
        return this;
      },
    } as unknown as Response);
    const controller = new AbortController();
    const onProgress = () => controller.abort(new Error("enough"));
    expect(
      (await refusal(fetched(`${server.url}/net`, { signal: controller.signal, onProgress, cache: true }))).message,
    ).toBe("enough");
    expect(server.asked).toEqual([]);
  });

  test("the body is given up", async () => {
    const closed = new Promise((resolve) => {
      server.files.set("/endless", (response) => {
        response.writeHead(200).write(file);
        response.on("close", resolve);
      });
    });
    const controller = new AbortController();
    const onProgress = () => controller.abort();
    await refusal(fetched(`${server.url}/endless`, { signal: controller.signal, onProgress }));
    await closed;
  });

  test("no listener is left behind", async () => {
    const { signal } = new AbortController();
    const [add, remove] = [vi.spyOn(signal, "addEventListener"), vi.spyOn(signal, "removeEventListener")];
    await fetched(slowResponse(file), { signal });
    expect(add.mock.calls.length).toBe(remove.mock.calls.length);
  });
});

describe("integrity", () => {
  test("of the file's own bytes", async () => {
    for (const bits of [256, 384, 512]) {
      const integrity = await integrityOf(file, bits);
      for (const source of [file, `${server.url}/net`, new Blob([file as BlobPart])])
        await fetched(source, { integrity });
    }
    const right = await integrityOf(file);
    await fetched(file, { integrity: `sha256-AAAA ${right}?extra` });
    await fetched(file, { integrity: right.replace(/=+$/, "") });
    const shared = new Uint8Array(new SharedArrayBuffer(file.length));
    shared.set(file);
    await fetched(shared, { integrity: right });
  });

  test("of other bytes", async () => {
    const integrity = await integrityOf(file);
    const changed = file.slice(0, -1);
    const { code, message } = await refusal(fetched(changed, { integrity }));
    expect(code).toBe("integrity");
    expect(message).toContain("the file must have the hash that integrity names, got ");
    expect(message).toContain(await integrityOf(changed).then((hash) => hash.replace(/=+$/, "")));
    expect((await refusal(fetched(file, { integrity: "sha512-!" }))).message).toContain("integrity names");
  });

  test("the strongest kind alone counts", async () => {
    const integrity = `${await integrityOf(file)} sha512-AAAA`;
    expect((await refusal(fetched(file, { integrity }))).code).toBe("integrity");
  });

  test("not of a model in several files", async () => {
    server.files.set("/model.json", text("a")).set("/a", text("A"));
    const { code, message } = await refusal(
      fetchModel(`${server.url}/model.json`, { integrity: await integrityOf(text("a")) }, several),
    );
    expect(code).toBe("integrity");
    expect(message).toMatch(/must be left out for a model in several files.*`mobilenet convert`/);
  });

  test("not where the page is not secure", async () => {
    vi.stubGlobal("crypto", {});
    expect((await refusal(fetched(file, { integrity: "sha256-AAAA" }))).message).toMatch(
      /serve it over https or from localhost/,
    );
  });
});

// Fetching a model: the cache, and models in several files.
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { fetchModel, type Reader } from "../../pkg/src/fetch.ts";
import {
  fetched,
  file,
  integrityOf,
  keptResponse,
  memoryCaches,
  refusal,
  type Server,
  serve,
  several,
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

describe("cache", () => {
  let caches: ReturnType<typeof memoryCaches>;
  beforeEach(() => {
    caches = memoryCaches(`${server.url}/`);
    vi.stubGlobal("caches", caches);
  });
  const kept = (name = "mobilenet") =>
    [...(caches.stores.get(name)?.keys() ?? [])].map((url) => url.replace(server.url, ""));

  test("a file is fetched once", async () => {
    const address = `${server.url}/net`;
    for (const source of [address, new URL(address), new Request(address)])
      expect((await fetched(source, { cache: true })).bytes).toEqual(file);
    expect(server.asked).toEqual(["/net"]);
    await fetched(address, { cache: "mine" });
    expect([kept(), kept("mine")]).toEqual([["/net"], ["/net"]]);
  });

  test("only where it is asked for, and for what has an address", async () => {
    for (const cache of [undefined, false, ""]) await fetched(`${server.url}/net`, { cache });
    for (const source of [
      file,
      new Blob([file as BlobPart]),
      new Response(file as BodyInit),
      await fetch(`${server.url}/net`),
    ])
      await fetched(source, { cache: true });
    expect(kept()).toEqual([]);
  });

  test("what was refused is not kept", async () => {
    await refusal(fetched(`${server.url}/none`, { cache: true }));
    await refusal(
      fetchModel(`${server.url}/net`, { cache: true }, { finish: () => Promise.reject(new Error("damaged")) }),
    );
    expect(kept()).toEqual([]);
  });

  test("a kept file that is damaged is fetched again, and replaced", async () => {
    const address = `${server.url}/net`;
    const damaged = await keptResponse(text("?"), address);
    await caches.open("mobilenet").then((store) => (store as Cache).put(address, damaged));
    const progress: number[] = [];
    const reader: Reader<number> = {
      finish({ bytes }) {
        if (bytes.length < 100) throw new Error("damaged");
        return bytes.length;
      },
    };
    expect(await fetchModel(address, { cache: true, onProgress: ({ loaded }) => progress.push(loaded) }, reader)).toBe(
      100,
    );
    expect(progress[0]).toBe(1);
    expect(progress.at(-1)).toBe(100);
    server.asked.length = 0;
    expect(await fetchModel(address, { cache: true }, reader)).toBe(100);
    expect(server.asked).toEqual([]);
    // One that is gone on the server too is an error of the network.
    await caches.open("mobilenet").then((store) => (store as Cache).put(`${server.url}/gone`, new Response("?")));
    expect((await refusal(fetchModel(`${server.url}/gone`, { cache: true }, reader))).message).toContain("404");
  });

  test("a kept file of another integrity is fetched again", async () => {
    const address = `${server.url}/net`;
    const older = await keptResponse(text("older"), address);
    await caches.open("mobilenet").then((store) => (store as Cache).put(address, older));
    const { bytes } = await fetched(address, { cache: true, integrity: await integrityOf(file) });
    expect(bytes).toEqual(file);
  });

  test("kept bytes that are not those that were stored are fetched again", async () => {
    const address = `${server.url}/net`;
    const other = `${server.url}/other`;
    server.files.set("/other", text("another network"));
    const flipped = file.slice();
    flipped[50] = 7;
    await fetched(other, { cache: true });
    const poison: (() => Promise<Response>)[] = [
      // Flipped, of another address, without a hash.
      async () => new Response(flipped, { headers: (await keptResponse(file, address)).headers }),
      async () => keptResponse(text("another network"), other),
      async () => new Response("another network"),
    ];
    for (const response of poison) {
      caches.stores.get("mobilenet")?.set(address, await response());
      server.asked.length = 0;
      expect((await fetched(address, { cache: true })).bytes).toEqual(file);
      expect((await fetched(address, { cache: true })).bytes).toEqual(file);
      expect(server.asked).toEqual(["/net"]);
    }
    server.files.set("/model.json", text("a")).set("/a", text("A"));
    await fetchModel(`${server.url}/model.json`, { cache: true }, several);
    caches.stores.get("mobilenet")?.set(`${server.url}/a`, new Response("B"));
    expect(await fetchModel(`${server.url}/model.json`, { cache: true }, several)).toBe("A");
  });

  test("nothing is kept where it could not be checked", async () => {
    vi.stubGlobal("crypto", {});
    expect((await fetched(`${server.url}/net`, { cache: true })).bytes).toEqual(file);
    expect(kept()).toEqual([]);
  });

  test("files beside the first one are kept too", async () => {
    server.files.set("/some/model.json", text("a\nb")).set("/some/a", text("A")).set("/some/b", text("B"));
    for (let round = 0; round < 2; round++)
      expect(await fetchModel(`${server.url}/some/model.json`, { cache: true }, several)).toBe("A,B");
    expect(server.asked).toEqual(["/some/model.json", "/some/a", "/some/b"]);
    // One that is lost is fetched alone, and one that is damaged has all of them fetched.
    caches.stores.get("mobilenet")?.delete(`${server.url}/some/a`);
    expect(await fetchModel(`${server.url}/some/model.json`, { cache: true }, several)).toBe("A,B");
    const damaged = await keptResponse(text("damaged"), `${server.url}/some/b`);
    caches.stores.get("mobilenet")?.set(`${server.url}/some/b`, damaged);
    expect(await fetchModel(`${server.url}/some/model.json`, { cache: true }, several)).toBe("A,B");
    expect(server.asked.slice(3)).toEqual(["/some/a", "/some/model.json", "/some/a", "/some/b"]);
    server.asked.length = 0;
    await fetchModel(`${server.url}/some/model.json`, { cache: true }, several);
    expect(server.asked).toEqual([]);
  });

  test("a relative address is the page's", async () => {
    const { fetch } = globalThis;
    vi.stubGlobal("document", { baseURI: `${server.url}/some/page.html` });
    vi.stubGlobal("caches", memoryCaches(`${server.url}/some/`));
    vi.stubGlobal("fetch", (input: string, init: RequestInit) =>
      fetch(typeof input === "string" ? new URL(input, document.baseURI) : input, init),
    );
    server.files.set("/some/model.json", text("a")).set("/some/a", text("A"));
    for (let round = 0; round < 2; round++) expect(await fetchModel("model.json", { cache: true }, several)).toBe("A");
    expect(server.asked).toEqual(["/some/model.json", "/some/a"]);
  });

  test("storage that is forbidden, full or not there is no error", async () => {
    const failing = () => Promise.reject(new DOMException("no", "SecurityError"));
    const storages = [
      undefined,
      { open: failing },
      {
        open() {
          throw new DOMException("no", "SecurityError");
        },
      },
      { open: async () => ({ match: failing, put: failing }) },
    ];
    for (const storage of storages) {
      vi.stubGlobal("caches", storage);
      expect((await fetched(`${server.url}/net`, { cache: true })).bytes).toEqual(file);
    }
  });
});

describe("files beside the first one", () => {
  test("lie where a redirect led", async () => {
    server.files.set("/start", (response) => response.writeHead(302, { location: "/deep/model.json" }).end());
    server.files.set("/deep/model.json", text("a.bin?x=1")).set("/deep/a.bin?x=1", text("A"));
    expect(await fetchModel(`${server.url}/start`, {}, several)).toBe("A");
    expect(await fetchModel(await fetch(`${server.url}/start`), {}, several)).toBe("A");
  });

  test("are not found for bytes", async () => {
    for (const source of [text("a.bin"), new Blob(["a.bin"]), new Response("a.bin")]) {
      const { code, message } = await refusal(fetchModel(source, {}, several));
      expect([code, message]).toEqual([
        "invalid-option",
        "weights: the model needs the file `a.bin` from the same place; load the model by its address, not by its bytes",
      ]);
    }
  });

  test("that are not there are named", async () => {
    server.files.set("/model.json", text("a.bin"));
    expect((await refusal(fetchModel(`${server.url}/model.json`, {}, several))).message).toContain(
      `${server.url}/a.bin answered 404`,
    );
  });
});

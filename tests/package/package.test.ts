// What is small: errors, similarity, the package's manifest.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";
import { MobileNetError, describe as named, reason } from "../../pkg/src/error.ts";
import { cosineSimilarity } from "../../pkg/src/similarity.ts";

describe("errors", () => {
  test("have name, code, message and cause", () => {
    const cause = new Error("why");
    const error = new MobileNetError("network", "weights: gone", { cause });
    expect([error.name, error.code, error.message, error.cause]).toEqual([
      "MobileNetError",
      "network",
      "weights: gone",
      cause,
    ]);
    expect(`${error}`).toBe("MobileNetError: weights: gone");
    expect(error instanceof MobileNetError && error instanceof Error).toBe(true);
  });

  test("are known wherever they were made", () => {
    const foreign = runInNewContext('Object.assign(new Error("x"), { name: "MobileNetError", code: "disposed" })');
    expect(foreign instanceof MobileNetError).toBe(true);
    for (const other of [new Error("x"), new DOMException("x", "AbortError"), null, undefined, "MobileNetError"])
      expect(other instanceof MobileNetError).toBe(false);
  });

  test.each<[unknown, string]>([
    [3, "3"],
    [NaN, "NaN"],
    [true, "true"],
    ["a", '"a"'],
    [null, "null"],
    [undefined, "undefined"],
    [{}, "an object"],
    [[], "an array"],
    [() => 1, "a function"],
    [Symbol("s"), "a symbol"],
    [new Map(), "a Map"],
    [new Uint8Array(), "a Uint8Array"],
    [new AbortController().signal, "an AbortSignal"],
    [{ [Symbol.toStringTag]: "HTMLDivElement" }, "an HTMLDivElement"],
    [{ [Symbol.toStringTag]: "ImageData" }, "an ImageData"],
  ])("%o is called %s", (value, name) => expect(named(value)).toBe(name));

  test("the reason of whatever was thrown", () => {
    expect([new Error("a"), "b", null, { message: "c" }, {}].map(reason)).toEqual([
      "a",
      "b",
      "no reason given",
      "c",
      "no reason given",
    ]);
  });
});

describe("cosineSimilarity", () => {
  test("of directions, not lengths", () => {
    expect(cosineSimilarity([1, 2], [2, 4])).toBeCloseTo(1, 12);
    expect(cosineSimilarity([1, 0], Float32Array.of(0, 3))).toBe(0);
    expect(cosineSimilarity([1, 1], [-5, -5])).toBeCloseTo(-1, 12);
    expect(cosineSimilarity([0, 0], [1, 1])).toBe(0);
    expect(cosineSimilarity([0.1, 0.7, 0.3], [0.1, 0.7, 0.3])).toBeLessThanOrEqual(1);
  });

  test.each<[unknown, unknown, string]>([
    [[1, 2], [1], "embeddings must have the same length, got 2 and 1 values; compare embeddings of one network"],
    [[NaN], [1], "embeddings must hold finite numbers only, got one with NaN or infinity"],
    [[Infinity], [1], "embeddings must hold finite numbers only, got one with NaN or infinity"],
    [undefined, [1], "an embedding must be an array of numbers, got undefined"],
    [[1], undefined, "an embedding must be an array of numbers, got undefined"],
    [3, [1], "an embedding must be an array of numbers, got 3"],
    [[1], {}, "an embedding must be an array of numbers, got an object"],
  ])("of %o and %o", (a, b, message) => {
    expect(() => cosineSimilarity(a as number[], b as number[])).toThrow(
      expect.objectContaining({ code: "invalid-argument", message: `cosineSimilarity: ${message}` }),
    );
  });
});

test("the package has the version of the workspace", () => {
  const root = new URL("../../", import.meta.url);
  const metadata = JSON.parse(
    execFileSync("cargo", ["metadata", "--no-deps", "--offline", "--format-version", "1"], {
      cwd: root,
      encoding: "utf8",
    }),
  );
  const { version } = JSON.parse(readFileSync(new URL("pkg/src/package.json", root), "utf8"));
  expect([...new Set(metadata.packages.map((one: { version: string }) => one.version))]).toContain(version);
});

test("importing the package does nothing", async () => {
  const before = Object.getOwnPropertyNames(globalThis).sort();
  await import("../../pkg/src/index.ts");
  await import("../../pkg/src/client.ts");
  expect(Object.getOwnPropertyNames(globalThis).sort()).toEqual(before);
});

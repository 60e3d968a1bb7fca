// The test of relaxed SIMD: its bytes are those of the text in the source, and an engine that computes wrongly is found.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import binaryen from "binaryen";
import { expect, test, vi } from "vitest";
import { refusal } from "./helpers.ts";

const source = readFileSync(new URL("../../pkg/src/relaxed.ts", import.meta.url), "utf8");
const [, comment = ""] = source.match(/```wat\n(.*?) \* ```/s) ?? [];
const [, base64 = ""] = source.match(/const bytes =\s*"(.*)"/) ?? [];

test("the bytes are those of the text", () => {
  const module = binaryen.parseText(comment.replace(/^ \* ?/gm, ""));
  module.setFeatures(binaryen.Features.All);
  expect(module.validate()).toBe(1);
  expect(base64).toBe(Buffer.from(module.emitBinary()).toString("base64"));
});

// Node 20's baseline compiler computes the dot product wrongly, its optimizing compiler computes it rightly.
test.runIf(process.versions.v8.startsWith("11.3")).each([
  ["--liftoff-only", "0"],
  ["--no-liftoff", "1"],
])("an engine that computes wrongly: %s", (flag, answer) => {
  const script = `WebAssembly.instantiate(Buffer.from("${base64}", "base64"))
    .then(({ instance }) => console.log(instance.exports.isRight()))`;
  const flags = ["--experimental-wasm-relaxed-simd", flag, "--eval", script];
  expect(execFileSync(process.execPath, flags, { encoding: "utf8" }).trim()).toBe(answer);
});

test.each([
  [1, ["relaxed", "simd128"]],
  [0, ["simd128"]],
  [new WebAssembly.RuntimeError("unreachable"), ["simd128"]],
])("the loader uses relaxed SIMD only where it is right: %s", async (answer, variants) => {
  const isRight = () => {
    if (typeof answer === "number") return answer;
    throw answer;
  };
  const instantiate = vi.fn(async () => ({ instance: { exports: { isRight } } }));
  vi.stubGlobal("WebAssembly", { ...WebAssembly, validate: () => true, instantiate });
  vi.resetModules();
  const { load, supportedVariants } = await import("../../pkg/src/index.ts");
  for (let time = 0; time < 2; time++) expect(await supportedVariants()).toEqual(variants);
  expect(instantiate, "asked once for a page").toHaveBeenCalledTimes(1);
  const { code } = await refusal(load({ weights: new Uint8Array(), variant: "relaxed", wasmUrl: "http://" }));
  expect(code).toBe(answer === 1 ? "invalid-option" : "unsupported-engine");
});

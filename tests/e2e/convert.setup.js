// Converts the Keras file for reference.spec.js, as its user would: the package does not read Keras' files.
import { execFile } from "node:child_process";
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { test } from "@playwright/test";
import { converted, missing, shared } from "./reference-data.js";

test("`mobilenet convert` writes a native file", async () => {
  test.skip(!shared, missing);
  test.setTimeout(600_000); // compiles the program if nothing has before
  mkdirSync(converted, { recursive: true });
  const files = [`${shared}/weights/keras/mobilenet_1_0_224_tf.h5`, `${converted}/keras.safetensors`];
  const options = ["--padding", "same", "--normalisation", "128,128"];
  const cargo = ["run", "--quiet", "--package", "mobilenet-cli", "--", "convert", ...files, ...options];
  await promisify(execFile)("cargo", cargo, { cwd: fileURLToPath(new URL("../../", import.meta.url)) });
});

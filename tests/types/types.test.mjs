// The types of the package, held against an example that uses all of them.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = new URL("../../", import.meta.url);
const path = (name) => fileURLToPath(new URL(name, root));
const unbuilt = !existsSync(path("pkg/simd128/mobilenet.d.ts")) && "pkg/simd128 is not built: npm run build";

const bundler = ["--module", "esnext", "--moduleResolution", "bundler"];

// As Node finds a package's types, and as a bundler does; with no library beyond ES2022 and the DOM, and with newer ones.
for (const [how, options] of [
  ["Node", []],
  ["Node, with esnext.disposable", ["--lib", "es2022,dom,esnext.disposable"]],
  ["a bundler", bundler],
  ["a bundler, with all libraries", [...bundler, "--target", "esnext", "--lib", "esnext,dom"]],
]) {
  test(`tsc --strict accepts an example that uses every method, as ${how} resolves it`, { skip: unbuilt }, () => {
    const tsc = [path("node_modules/typescript/bin/tsc"), "-p", path("tests/types/tsconfig.json"), ...options];
    const { status, stdout, stderr } = spawnSync(process.execPath, tsc, { encoding: "utf8" });
    assert.equal(status, 0, stdout + stderr);
  });
}

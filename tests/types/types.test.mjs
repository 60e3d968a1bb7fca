// The types of the package, held against an example that uses all of them.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import assert from "node:assert/strict";

const root = new URL("../../", import.meta.url);
const path = (name) => fileURLToPath(new URL(name, root));
const unbuilt = !existsSync(path("pkg/simd128/mobilenet.d.ts")) && "pkg/simd128 is not built: npm run build";

test("tsc --strict accepts an example that uses every method", { skip: unbuilt }, () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [path("node_modules/typescript/bin/tsc"), "-p", path("tests/types/tsconfig.json")], { encoding: "utf8" });
  assert.equal(status, 0, stdout + stderr);
});

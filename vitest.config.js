// Unit tests of the npm package's TypeScript, in Node. The wasm modules are a stand-in: see tests/package/fake-module.ts.
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const fake = fileURLToPath(new URL("tests/package/fake-module.ts", import.meta.url));

export default defineConfig({
  test: { include: ["tests/package/*.test.ts"], root: fileURLToPath(new URL(".", import.meta.url)), unstubGlobals: true },
  resolve: {
    alias: [{ find: /^\.\/(simd128|relaxed|threads|readers)\/mobilenet\.js$/, replacement: `${fake}?$1` }],
  },
});

// Unit tests of the npm package's TypeScript, in Node. The wasm modules are a stand-in: tests/package/fake-module.ts.
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const fake = fileURLToPath(new URL("tests/package/fake-module.ts", import.meta.url));

const fakeModules = {
  name: "fake-modules",
  enforce: "pre",
  resolveId: (id) => id.match(/^\.\/(simd128|relaxed|threads|readers)\/mobilenet\.js$/)?.[0].replace("./", "\0"),
  load: (id) => {
    const [, name] = id.match(/^\0(\w+)\/mobilenet\.js$/) ?? [];
    return (
      name &&
      `import { build } from ${JSON.stringify(fake)}; export * from ${JSON.stringify(fake)};
      const { init, MobileNet, __wbg_reset_state } = build("${name}");
      export { init as default, __wbg_reset_state${name === "readers" ? "" : ", MobileNet"} };`
    );
  },
};

export default defineConfig({
  root: fileURLToPath(new URL(".", import.meta.url)),
  plugins: [fakeModules],
  test: { include: ["tests/package/*.test.ts"], unstubGlobals: true },
});

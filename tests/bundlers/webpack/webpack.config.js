import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL(".", import.meta.url));

export default {
  mode: "production",
  context: folder,
  entry: "./src/main.js",
  output: { path: `${folder}public`, filename: "main.js", publicPath: "/" },
  performance: { hints: false }, // wasm is larger than webpack's limits for scripts
};

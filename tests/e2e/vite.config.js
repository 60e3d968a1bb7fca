// The page as `npm run serve` serves it, with what tests need beside it, on a free port and without reloading.
import { fileURLToPath } from "node:url";
import { mergeConfig } from "vite";
import base, { mount } from "../../vite.config.js";
import { converted, shared } from "./reference-data.js";

const bench = fileURLToPath(new URL("../../benches/page", import.meta.url));
const fuzz = fileURLToPath(new URL("../fuzz-class", import.meta.url));
const reference = shared && { "/weights": `${shared}/weights`, "/photos": `${shared}/photos` };

export default mergeConfig(base, {
  plugins: [mount({ "/bench": bench, "/fuzz": fuzz, "/converted": converted, ...reference })],
  server: { host: "127.0.0.1", port: 0, hmr: false, watch: null, allowedHosts: ["page.test"] },
});

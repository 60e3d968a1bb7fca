// Serves (`npm run serve`) and builds (`npx vite build`) the demo page in www/.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import sirv from "sirv";
import { defineConfig } from "vite";

const folder = (name) => fileURLToPath(new URL(name, import.meta.url));

/** The first two isolate the page from other origins, which shared memory needs; they also make its clocks finer. */
export const headers = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
  "X-Content-Type-Options": "nosniff",
  "Cache-Control": "no-cache",
};

/** Serves folders outside of the root unchanged: `mount({ "/pkg": "/path/of/pkg" })`. */
export function mount(folders) {
  const use = ({ middlewares, config }, options) => {
    const setHeaders = (response) => {
      for (const [name, value] of Object.entries(options(config).headers)) response.setHeader(name, value);
    };
    for (const [prefix, path] of Object.entries(folders)) {
      middlewares.use(prefix, sirv(path, { dev: true, etag: true, setHeaders }));
    }
  };
  return {
    name: "mount",
    configureServer: (server) => use(server, (config) => config.server),
    configurePreviewServer: (server) => use(server, (config) => config.preview),
  };
}

/**
 * The page imports `./pkg/index.js`, which is beside it wherever it is hosted. The development server leaves that import
 * to the browser, so that the page can say what is missing while nothing is built; `vite build` bundles the package.
 */
function packageBesidePage() {
  const file = folder("pkg/index.js");
  let building;
  return {
    name: "package-beside-page",
    enforce: "pre",
    configResolved: ({ command }) => {
      building = command === "build";
    },
    resolveId: (source) => {
      if (source !== "./pkg/index.js") return null;
      if (building && !existsSync(file)) throw new Error("pkg/index.js is missing: run `npm run build` first");
      return building ? file : { id: "/pkg/index.js", external: true };
    },
  };
}

const address = { host: process.env.HOST || "127.0.0.1", port: Number(process.env.PORT ?? 8080), headers, cors: false };

export default defineConfig({
  root: folder("www"),
  base: "./", // the built page can be hosted in any folder
  appType: "mpa", // a missing file is answered with 404, not with the page
  publicDir: false,
  plugins: [packageBesidePage(), mount({ "/pkg": folder("pkg"), "/models": folder("models") })],
  optimizeDeps: { noDiscovery: true }, // the page has no dependencies
  server: address,
  preview: address,
  build: {
    outDir: folder("dist"),
    emptyOutDir: true,
    target: "esnext",
    assetsInlineLimit: 0, // the page's content security policy allows no scripts from data: addresses
  },
});

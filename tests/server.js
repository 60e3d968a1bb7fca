// The development server of vite.config.js for tests and benchmarks, on a free port and without reloading.
import { fileURLToPath } from "node:url";
import { createServer } from "vite";
import { mount, headers as standard } from "../vite.config.js";

/**
 * Resolves to `{ url, close }`. `mounts` adds folders (`{ "/photos": "/some/folder" }`), `headers` adds headers to every
 * answer (a Content-Security-Policy, for example).
 */
export async function serve({ mounts = {}, headers = {} } = {}) {
  const server = await createServer({
    configFile: fileURLToPath(new URL("../vite.config.js", import.meta.url)),
    logLevel: "error",
    plugins: [mount(mounts)],
    server: { port: 0, hmr: false, watch: null, headers: { ...standard, ...headers } },
  });
  await server.listen();
  return { url: server.resolvedUrls.local[0], close: () => server.close() };
}

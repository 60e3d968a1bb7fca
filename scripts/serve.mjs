// Serves the demo page: www/ at the root, pkg/ and models/ beside it, with the headers that shared memory needs.
//
//   node scripts/serve.mjs              at http://127.0.0.1:8080/, or at PORT
//
// Tests and benchmarks import `serve` and choose a free port: `const { url, close } = await serve({ port: 0 })`.
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, sep } from "node:path";
import { pipeline } from "node:stream";
import { Failure, main, root, say } from "./lib/shell.mjs";

const types = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json; charset=utf-8",
  ".map": "application/json; charset=utf-8",
  ".webmanifest": "application/manifest+json; charset=utf-8",
  ".md": "text/markdown; charset=utf-8",
  ".txt": "text/plain; charset=utf-8",
  ".ts": "text/plain; charset=utf-8",
  ".wasm": "application/wasm",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".jpg": "image/jpeg",
  ".jpeg": "image/jpeg",
  ".webp": "image/webp",
  ".avif": "image/avif",
  ".gif": "image/gif",
  ".ico": "image/x-icon",
};

/** With these the page is cross-origin isolated: shared memory is allowed and clocks are finer. */
const isolation = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

/** The file below one of `mounts` that a request's path names, or null. */
function locate(path, mounts) {
  // The longest matching prefix wins, so that /pkg/ stands before /.
  const prefix = Object.keys(mounts)
    .filter((candidate) => path.startsWith(candidate))
    .sort((a, b) => b.length - a.length)[0];
  if (prefix === undefined) return null;
  const folder = mounts[prefix];
  const file = join(folder, path.slice(prefix.length));
  // join() has resolved every "..": what lies outside the folder is not served, nor are hidden files.
  if (file !== folder && !file.startsWith(folder.endsWith(sep) ? folder : folder + sep)) return null;
  return /[\\/]\./.test(file.slice(folder.length)) ? null : file;
}

async function respond(request, response, { mounts, headers }) {
  const finish = (status, text, extra = {}) => {
    response.writeHead(status, { ...headers, "Content-Type": types[".txt"], ...extra });
    response.end(request.method === "HEAD" ? undefined : text);
  };
  if (request.method !== "GET" && request.method !== "HEAD") return finish(405, "Only GET and HEAD are answered here.\n", { Allow: "GET, HEAD" });

  let pathname, search, path;
  try {
    ({ pathname, search } = new URL(request.url, "http://localhost"));
    path = decodeURIComponent(pathname);
  } catch {
    return finish(400, "The address is not valid.\n");
  }
  if (path.includes("\0")) return finish(400, "The address is not valid.\n");
  let file = locate(path, mounts);
  let found = file && (await stat(file).catch(() => null));
  if (found?.isDirectory()) {
    if (!path.endsWith("/")) return finish(301, "", { Location: `${pathname}/${search}` });
    file = join(file, "index.html");
    found = await stat(file).catch(() => null);
  }
  if (!found?.isFile()) return finish(404, `There is no ${path} here.\n`);

  const tag = `"${found.size.toString(36)}-${Math.round(found.mtimeMs).toString(36)}"`;
  const about = { ...headers, "Content-Type": types[extname(file).toLowerCase()] ?? "application/octet-stream", ETag: tag };
  if (request.headers["if-none-match"] === tag) {
    response.writeHead(304, about).end();
    return;
  }
  response.writeHead(200, { ...about, "Content-Length": found.size });
  if (request.method === "HEAD") return void response.end();
  // Closes the file where the browser goes away before its end.
  pipeline(createReadStream(file), response, () => {});
}

/**
 * Starts the server and resolves to { url, port, close }.
 * `port` 0 takes a free one; `isolated: false` leaves out COOP and COEP; `mounts` adds folders
 * ({ "/photos/": "/some/folder" }); `headers` adds headers to every answer (a Content-Security-Policy, say).
 */
export async function serve({ port = 8080, host = "127.0.0.1", isolated = true, mounts = {}, headers = {} } = {}) {
  const settings = {
    mounts: { "/": join(root, "www"), "/pkg/": join(root, "pkg"), "/models/": join(root, "models"), ...mounts },
    headers: {
      ...(isolated ? isolation : {}),
      "Cross-Origin-Resource-Policy": "same-origin",
      "X-Content-Type-Options": "nosniff",
      "Cache-Control": "no-cache",
      ...headers,
    },
  };
  const server = createServer((request, response) => {
    respond(request, response, settings).catch((error) => response.destroy(error));
  });
  await new Promise((resolve, reject) => {
    server.once("error", (error) => {
      const taken = error.code === "EADDRINUSE" ? "it is in use; choose another with PORT, as in `PORT=8081 npm start`" : error.message;
      reject(new Failure(`serve: port ${port} cannot be opened: ${taken}.`));
    });
    server.listen(port, host, resolve);
  });
  const { port: opened } = server.address();
  return {
    url: `http://${host}:${opened}/`,
    port: opened,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

await main(import.meta, async () => {
  const port = Number(process.env.PORT ?? 8080);
  if (!Number.isInteger(port) || port < 0 || port > 65535) throw new Failure(`serve: PORT must be a number from 0 to 65535, not "${process.env.PORT}".`);
  const { url } = await serve({ port, host: process.env.HOST || "127.0.0.1" });
  say(`serve: the demo is at ${url}   (Ctrl+C ends it)`);
});

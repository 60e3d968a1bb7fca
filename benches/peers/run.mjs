// `npm run bench:peers`: this package against its peers in one headless browser, alternating rounds, a ratio per row.
//
//   --models DIR   the model files (default ../shared/bench-peers/models)
//   --row NAME     only rows whose name contains NAME, e.g. 1.0-224
//   --threads A,B  of 1 and 2 (both)
//   --rounds N     rounds (12), --each N inferences in each (6): at least 60 in all for figures to be quoted
//   --json FILE    also write the figures as JSON

import { execFileSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "@playwright/test";
import { build } from "esbuild";
import { Failure, main } from "../../scripts/lib.mjs";
import { launchOptions } from "../../tests/browser.js";
import { serve } from "../../tests/server.js";
import { count, options } from "../options.mjs";
import { MODELS } from "./models.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const root = resolve(here, "../..");

const FLAGS = {
  models: { type: "string", default: join(root, "../shared/bench-peers/models") },
  row: { type: "string", default: "" },
  threads: { type: "string", default: "1,2" },
  rounds: { type: "string", default: "12" },
  each: { type: "string", default: "6" },
  warm: { type: "string", default: "2.5" },
  only: { type: "string" },
  json: { type: "string" },
};

// Every folder that holds a model file becomes a mount of the server.
const mounts = { "/peers/": here, "/peers/modules/": join(here, "node_modules") };
function publish(path) {
  if (!path || !existsSync(path)) return undefined;
  const folder = dirname(path);
  let prefix = Object.keys(mounts).find((candidate) => mounts[candidate] === folder);
  if (!prefix) {
    prefix = `/peers/models-${Object.keys(mounts).length}/`;
    mounts[prefix] = folder;
  }
  return `${prefix}${basename(path)}`;
}

/** The file that LiteRT.js gets where its border does not suit: made once by uint8_border.py in a Python of its own. */
function bordered(models, name) {
  const copy = join(here, "dist", basename(name));
  if (existsSync(copy)) return copy;
  const python = join(here, "dist/venv/bin/python");
  try {
    if (!existsSync(python)) {
      execFileSync("python3", ["-m", "venv", join(here, "dist/venv")]);
      execFileSync(python, [
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "ai-edge-litert==2.3.0",
        "flatbuffers==25.12.19",
        "numpy==2.4.6",
      ]);
    }
    execFileSync(python, [join(here, "uint8_border.py"), join(models, name), copy]);
    return copy;
  } catch (error) {
    console.log(`bench:peers: no uint8 border for ${name}, LiteRT.js will say so: ${error.message.split("\n")[0]}`);
    return undefined;
  }
}

await main(import.meta, async (args) => {
  const { values: flags } = options("bench:peers", { args, options: FLAGS });
  const [rounds, each] = ["rounds", "each"].map((option) => count("bench:peers", option, flags[option]));
  const numbers = {
    rounds,
    each,
    warm: count("bench:peers", "warm", flags.warm, { least: 0, whole: false }),
    only: flags.only?.split(","),
  };
  const threads = flags.threads.split(",").map((value) => count("bench:peers", "threads", value));
  const jobs = list(resolve(flags.models), flags.row, threads);
  if (!jobs)
    return console.log(
      `bench:peers: skipped, there is no folder of model files at ${flags.models}; name one with --models DIR`,
    );
  if (!jobs.length)
    throw new Failure(
      `bench:peers: no row's name contains "${flags.row}"; there are ${MODELS.map(({ name }) => name).join(", ")}.`,
    );
  await build({
    entryPoints: [join(here, "page.js")],
    outfile: join(here, "dist/page.js"),
    bundle: true,
    format: "esm",
    target: "es2022",
    external: ["/pkg/*"],
    logLevel: "error",
  });
  const server = await serve({ mounts });
  const browser = await chromium.launch(launchOptions());
  const rows = [];
  try {
    for (const job of jobs)
      rows.push(
        print({ ...job, ...(await measure(browser, `${server.url}peers/peers.html`, { ...job, ...numbers })) }),
      );
  } finally {
    await browser.close();
    await server.close();
  }
  table(rows);
  if (flags.json) writeFileSync(flags.json, `${JSON.stringify(rows, null, 1)}\n`);
});

/** A job for every row, precision and number of threads that has its file; undefined where there is no such folder. */
function list(models, row, counts) {
  if (!existsSync(models)) return undefined;
  const model = (name) => publish(name && join(models, name));
  const jobs = [];
  for (const threads of counts) {
    for (const entry of MODELS.filter(({ name }) => name.includes(row))) {
      for (const precision of ["f32", "int8"]) {
        const url = model(entry[precision]);
        const litertUrl = (precision === "int8" && entry.border && publish(bordered(models, entry.int8))) || url;
        if (url) jobs.push({ row: entry, precision, threads, url, litertUrl, onnxUrl: model(entry.onnx) });
      }
    }
  }
  return jobs;
}

/** One job in a page of its own, so that no library's threads or caches meet another row's. */
async function measure(browser, address, job) {
  const page = await browser.newPage();
  page.on("pageerror", (error) => console.error(`  page: ${error.message}`));
  // tfjs gives its pool half of what the browser reports: on two cores "two threads" would be one.
  await page.addInitScript(
    (count) => Object.defineProperty(navigator, "hardwareConcurrency", { get: () => count }),
    2 * job.threads,
  );
  await page.goto(address);
  await page.waitForFunction(() => typeof window.measure === "function");
  const measured = await page.evaluate((options) => window.measure(options), job);
  await page.close();
  return measured;
}

function print(measured) {
  const { row, precision, threads, results, absent } = measured;
  console.log(`${row.name} ${precision}, ${threads} thread${threads > 1 ? "s" : ""}`);
  for (const { name, median_ms, min_ms, inferences, difference } of results) {
    const checked = difference === undefined ? "sums to 1" : `differs by ${difference.toExponential(1)}`;
    console.log(
      `  ${name.padEnd(28)} median ${median_ms.toFixed(2)} ms, min ${min_ms.toFixed(2)} ms, ${inferences} inferences, ${checked}`,
    );
  }
  for (const { name, reason } of absent) console.log(`  ${name.padEnd(28)} left out: ${reason}`);
  return measured;
}

/** Markdown: a line a row, this package first, the fastest peer and the ratio last. */
function table(rows) {
  console.log(
    "\n| network | precision | threads | this package | LiteRT.js | tfjs | onnxruntime-web | ratio to the fastest peer |",
  );
  console.log("|---|---|---|---|---|---|---|---|");
  for (const { row, precision, threads, results } of rows) {
    const time = (start) => results.find(({ name }) => name.startsWith(start))?.median_ms;
    const cell = (ms) => (ms === undefined ? "–" : `${ms.toFixed(2)} ms`);
    const peers = ["LiteRT.js", "tfjs", "onnx"].map(time);
    const fastest = Math.min(...peers.filter((ms) => ms !== undefined));
    const own = time("this package");
    const ratio = own === undefined || !Number.isFinite(fastest) ? "–" : (own / fastest).toFixed(2);
    console.log(`| ${row.name} | ${precision} | ${threads} | ${[own, ...peers].map(cell).join(" | ")} | ${ratio} |`);
  }
}

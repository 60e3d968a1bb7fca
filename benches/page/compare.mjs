// `npm run bench:compare -- --before DIR`: this build of the package against another one, in one page and in turns.
//
//   --before DIR      a built package, such as the folder pkg/ of an earlier checkout
//   --rounds N        rounds (48); both builds run in each, in alternating order
//   --variants A,B    of simd128, relaxed and threads (all)
//   --models A,B      of 1.0-224, 0.5-160, 0.25-224 and 0.25-128 (all)
//   --json FILE       also writes the rows as JSON
//
// A row: model, precision, variant, threads, and for the network alone and for the call from a canvas of 640×480 to the
// top five: the medians in milliseconds and the median of the rounds' ratios. Answers are compared first. Ends with the
// geometric means of the ratios.
import { existsSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { chromium } from "@playwright/test";
import { Failure, main, root } from "../../scripts/lib.mjs";
import { launchOptions } from "../../tests/browser.js";
import { serve } from "../../tests/server.js";
import { count, options } from "../options.mjs";

const MODELS = { "1.0-224": [1, 224], "0.5-160": [0.5, 160], "0.25-224": [0.25, 224], "0.25-128": [0.25, 128] };
const FLAGS = {
  before: { type: "string" },
  rounds: { type: "string", default: "48" },
  variants: { type: "string", default: "simd128,relaxed,threads" },
  models: { type: "string", default: Object.keys(MODELS).join() },
  json: { type: "string" },
};

const geometricMean = (values) => Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);

await main(import.meta, async (args) => {
  const { values: flags } = options("bench:compare", { args, options: FLAGS });
  if (!flags.before || !existsSync(join(flags.before, "index.js"))) {
    throw new Failure(`bench:compare: --before: must be the folder of a built package, got ${flags.before}`);
  }
  const rounds = count("bench:compare", "rounds", flags.rounds);
  const mounts = { "/bench/": join(root, "benches/page"), "/before/": resolve(flags.before) };
  const server = await serve({ mounts });
  const browser = await chromium.launch(launchOptions(["--disable-renderer-backgrounding"]));
  const rows = [];
  try {
    for (const model of flags.models.split(",")) {
      for (const precision of ["f32", "int8"]) {
        for (const variant of flags.variants.split(",")) {
          const page = await browser.newPage();
          await page.goto(`${server.url}bench/compare.html`);
          await page.waitForFunction(() => typeof window.compare === "function");
          const [alpha, resolution] = MODELS[model];
          const threads = variant === "threads" ? 2 : 1;
          const packages = ["/before/index.js", "/pkg/index.js"];
          const job = { packages, alpha, resolution, precision, variant, threads, rounds };
          const row = {
            model,
            precision,
            variant,
            threads,
            ...(await page.evaluate((job) => window.compare(job), job)),
          };
          await page.close();
          console.log(JSON.stringify(row));
          rows.push(row);
        }
      }
    }
  } finally {
    await browser.close();
    await server.close();
  }
  for (const key of ["network_ratio", "call_ratio"]) {
    console.log(`${key}: geometric mean ${geometricMean(rows.map((row) => row[key])).toFixed(3)}`);
  }
  if (flags.json) writeFileSync(flags.json, `${JSON.stringify(rows, null, 1)}\n`);
});

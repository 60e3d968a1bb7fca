// `npm run bench`: how fast the built package runs in headless Chromium, as a share of what the machine can do.
//
//   --json FILE       also write the rows as JSON
//   --rounds N        rounds (60), each a few inferences of every network and the peak loop
//   --variants A,B    of simd128, relaxed and threads (all that are built)
//   --models A,B      of 1.0-224, 0.5-160, 0.25-224 and 0.25-128 (all)
//   --load            instead: bytes to first answer and memory (loads.mjs); --loads N and --frames N of its last row
//
// A row: model, precision, variant, threads, median_ms and min_ms of the network alone, gflops (two operations a
// Mult-Add, at the minimum), share_of_peak (median over the rounds of a round's median against the peak loop right before
// and after it; int8 against the dot product's, which pair products can exceed where it takes three instructions),
// best_share (the minimum against the best that the peak loop reached: what is left of the share where other work on the
// machine slows a network more than a loop in registers), prepare_ms (a 640×480 canvas to the network's input, median).

import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "@playwright/test";
import binaryen from "binaryen";
import { Failure, main, root } from "../../scripts/lib.mjs";
import { launchOptions } from "../../tests/browser.js";
import { serve } from "../../tests/server.js";
import { count, options } from "../options.mjs";
import { loads, mounts } from "./loads.mjs";

const VARIANTS = ["simd128", "relaxed", "threads"];
const MODELS = { "1.0-224": [1, 224], "0.5-160": [0.5, 160], "0.25-224": [0.25, 224], "0.25-128": [0.25, 128] };

const FLAGS = {
  json: { type: "string" },
  rounds: { type: "string", default: "60" },
  variants: { type: "string", default: VARIANTS.join() },
  load: { type: "boolean" },
  loads: { type: "string", default: "200" },
  frames: { type: "string", default: "10000" },
  models: { type: "string", default: Object.keys(MODELS).join() },
};

/** A module whose `run(n)` does `n` times 24 independent steps in registers: what the machine can do at best. */
function peakModule(step, lane) {
  const chains = 12;
  const sums = Array.from({ length: chains }, (_, i) => `(local $s${i} v128)`).join("");
  const start = Array.from(
    { length: chains },
    (_, i) => `(local.set $s${i} (${lane}.splat (${lane.slice(0, 3)}.const ${i + 1})))`,
  ).join("");
  const steps = Array.from(
    { length: 2 * chains },
    (_, i) => `(local.set $s${i % chains} ${step(`(local.get $s${i % chains})`)})`,
  ).join("");
  const all = Array.from({ length: chains }, (_, i) => `(local.get $s${i})`).reduce((a, b) => `(v128.xor ${a} ${b})`);
  const text = `(module (func (export "run") (param $n i32) (param $x f32) (result i32) (local $c v128) (local $d v128) ${sums}
    (local.set $c (f32x4.splat (local.get $x))) (local.set $d (f32x4.splat (f32.sub (f32.const 1) (local.get $x)))) ${start}
    (loop $again ${steps} (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (i32x4.extract_lane 0 ${all})))`;
  const module = binaryen.parseText(text);
  module.setFeatures(binaryen.Features.All);
  if (!module.validate()) throw new Failure("bench: the peak loop is no valid module.");
  return [...module.emitBinary()];
}

const [c, d] = ["(local.get $c)", "(local.get $d)"];
// Operations of one step: four lanes of multiply and add; sixteen or eight products and sums of a dot product.
const PEAKS = {
  fused: { operations: 8, bytes: peakModule((s) => `(f32x4.relaxed_madd ${s} ${c} ${d})`, "f32x4") },
  unfused: { operations: 8, bytes: peakModule((s) => `(f32x4.add (f32x4.mul ${s} ${c}) ${d})`, "f32x4") },
  relaxedDot: {
    operations: 32,
    bytes: peakModule((s) => `(i32x4.relaxed_dot_i8x16_i7x16_add_s ${c} ${d} ${s})`, "i32x4"),
  },
  // The sum goes in as a factor too, or the product would be the same in every round and be taken out of the loop.
  dot: { operations: 16, bytes: peakModule((s) => `(i32x4.add (i32x4.dot_i16x8_s ${s} ${c}) ${d})`, "i32x4") },
};

function peakOf(variant, precision) {
  if (precision === "f32") return variant === "simd128" ? PEAKS.unfused : PEAKS.fused;
  return variant === "simd128" ? PEAKS.dot : PEAKS.relaxedDot;
}

/** The names in a list, each of which must be known. */
function named(what, list, known) {
  const names = list.split(",");
  const stranger = names.find((name) => !known.includes(name));
  if (stranger !== undefined)
    throw new Failure(`bench: there is no ${what} "${stranger}"; there are ${known.join(", ")}.`);
  return names;
}

await main(import.meta, async (args) => {
  const { values: flags } = options("bench", { args, options: FLAGS });
  const [rounds, loadings, frames] = ["rounds", "loads", "frames"].map((option) =>
    count("bench", option, flags[option]),
  );
  const models = named("model", flags.models, Object.keys(MODELS));
  const asked = named("variant", flags.variants, VARIANTS);
  const wanted = asked.filter((name) => existsSync(join(root, "pkg", name)));
  if (wanted.length === 0) throw new Failure("bench: nothing is built yet; run `npm run build` first.");
  const server = await serve({ mounts: { "/bench/": join(root, "benches/page"), ...mounts } });
  // A page that Chromium thinks nobody sees would be given less of the machine; a process started for a page to come takes some.
  const browser = await chromium.launch(
    launchOptions(["--disable-renderer-backgrounding", "--disable-features=SpareRendererForSitePerProcess"]),
  );
  const rows = [];
  try {
    if (flags.load) {
      rows.push(...(await loads(browser, server, wanted, { rounds: 7, loads: loadings, frames })));
    }
    for (const name of flags.load ? [] : models) {
      for (const precision of ["f32", "int8"]) {
        for (const variant of wanted) {
          for (const threads of variant === "threads" ? [1, 2] : [1]) {
            const page = await browser.newPage();
            await page.goto(`${server.url}bench/index.html`);
            await page.waitForFunction(() => typeof window.measure === "function");
            const [alpha, resolution] = MODELS[name];
            const job = { alpha, resolution, precision, variant, threads, rounds, peak: peakOf(variant, precision) };
            const row = {
              model: name,
              precision,
              variant,
              threads,
              ...(await page.evaluate((job) => window.measure(job), job)),
            };
            await page.close();
            console.log(JSON.stringify(row));
            if (!row.absent) rows.push(row);
          }
        }
      }
    }
  } finally {
    await browser.close();
    await server.close();
  }
  if (flags.json) writeFileSync(flags.json, `${JSON.stringify(rows, null, 1)}\n`);
});

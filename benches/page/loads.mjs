// `npm run bench -- --load`: from the bytes of a file in memory to the first answer, and the wasm memory that it takes.
//
// A row: variant, file ("f32": a native file of 1.0-224, "int8": the same as the class quantises and saves it, "timm": the released checkpoint,
// where ../shared has it), bytes, load_ms and first_answer_ms (medians of fresh pages whose module has started),
// cold_first_answer_ms (the same from before the module is fetched and compiled),
// memory_share (the wasm memory afterwards, which never shrinks, as a multiple of the file). Then one row a variant of
// the memory after the first and the last of many loads and many frames.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../scripts/lib.mjs";

const shared = process.env.MOBILENET_SHARED ?? join(root, "..", "shared");
const timm = join(shared, "weights", "timm");

/** What the server must show besides the pages of the bench. */
export const mounts = existsSync(timm) ? { "/timm/": timm } : {};

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
const round = (value) => Number(value.toPrecision(4));

async function inPage(browser, url, work, job) {
  const page = await browser.newPage();
  try {
    await page.goto(url);
    await page.waitForFunction(() => window.ready);
    return await page.evaluate(([work, job]) => window[work](job), [work, job]);
  } finally {
    await page.close();
  }
}

/** Measures every file in every variant; gives the rows. */
export async function loads(browser, server, variants, { rounds, loads: many, frames }) {
  const url = `${server.url}bench/load.html`;
  const files = [
    { file: "f32" },
    { file: "int8" },
    ...(mounts["/timm/"] ? [{ file: "timm", url: "/timm/mobilenetv1_100.safetensors" }] : []),
  ];
  const rows = [];
  for (const variant of variants) {
    for (const file of files) {
      const all = [];
      for (let i = 0; i < rounds; i++) all.push(await inPage(browser, url, "firstAnswer", { variant, ...file }));
      const cold = [];
      for (let i = 0; i < rounds; i++) cold.push(await inPage(browser, url, "coldAnswer", { variant, ...file }));
      const of = (key) => round(median(all.map((one) => one[key])));
      const [{ bytes }] = all;
      const memory_share = round(Math.max(...all.map((one) => one.memory_after)) / bytes);
      rows.push({
        variant,
        file: file.file,
        bytes,
        load_ms: of("load_ms"),
        first_answer_ms: of("first_answer_ms"),
        cold_first_answer_ms: round(median(cold.map((one) => one.cold_first_answer_ms))),
        memory_share,
      });
      console.log(JSON.stringify(rows.at(-1)));
    }
    if (many === 0) continue;
    rows.push({ variant, ...(await inPage(browser, url, "endurance", { variant, loads: many, frames })) });
    console.log(JSON.stringify(rows.at(-1)));
  }
  return rows;
}

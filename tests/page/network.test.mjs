// The network chooser: file, address, labels, options, what goes wrong; the Inside tab on the network in use.
import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { root } from "../../scripts/lib/shell.mjs";
import { chooseNetwork, choosePicture, colourNetwork, notice, openPage, png, RED, scratch, waitForAnswer } from "./helpers.mjs";

let opened, page;

before(async () => {
  const folder = scratch();
  writeFileSync(join(folder, "colours.safetensors"), colourNetwork());
  writeFileSync(join(folder, "cut.safetensors"), colourNetwork().subarray(0, 5000));
  writeFileSync(join(folder, "page.html"), "<!doctype html><title>Sign in</title>");
  // The network that ships is hidden here: these tests are about the page without one, and then with others.
  opened = await openPage({ mounts: { "/mine/": folder, "/pkg/default.safetensors": scratch() } });
  page = opened.page;
});
after(() => opened?.close());

const facts = () => page.locator("#facts").textContent();

async function loadAddress(address) {
  await page.getByLabel("Network address").fill(address);
  await page.getByRole("button", { name: "Load", exact: true }).click();
}

async function errorOf(address) {
  await loadAddress(address);
  return notice(page, "#chooser-error");
}

test("without a network the page says how to give it one", async () => {
  const button = page.getByRole("button", { name: "Choose a network" });
  await button.waitFor();
  assert.match(await page.locator("#no-network-why").textContent(), /safetensors or TFLite file, dropped anywhere or chosen below/);
  await button.click();
  assert.equal(await page.evaluate(() => document.activeElement.id), "weights-file");
});

test("an address that is not there, or is a page, is a sentence that names it", async () => {
  assert.match(await errorOf("/mine/missing.safetensors"), /missing\.safetensors.*404/);
  assert.match(await errorOf("/mine/page.html"), /page\.html.*(HTML|web page)/i);
  assert.match(await errorOf("http://elsewhere.test/x.safetensors"), /neither on this page’s server nor an https:\/\/ address/);
  assert.match(await errorOf("   "), /Type the network’s address first/);
});

test("a network by its address", async () => {
  await loadAddress("/mine/colours.safetensors");
  await page.waitForFunction(() => document.querySelector("#facts").textContent.includes("/mine/colours.safetensors"));
  await choosePicture(page, png(RED));
  await waitForAnswer(page, "red thing");
  assert.ok(await page.locator("#no-network").isHidden());
  assert.match(await page.locator("#status").textContent(), /MobileNet-32 · f32, .*1 thread$/);
});

test("a file that is cut off is refused, and the network in use stays", async () => {
  assert.match(await errorOf("/mine/cut.safetensors"), /cut\.safetensors/);
  await page.getByRole("button", { name: "Sample" }).click();
  await choosePicture(page, png(RED));
  await waitForAnswer(page, "red thing");
  assert.match(await facts(), /colours\.safetensors/);
});

test("a file of another kind is refused by name", async () => {
  await page.getByLabel("Network file").setInputFiles({ name: "poem.safetensors", mimeType: "", buffer: Buffer.from("a poem, and no tensors at all") });
  assert.ok((await notice(page, "#chooser-error")).length > 20);
  assert.match(await facts(), /colours\.safetensors/);
});

test("names for a network that has none, with or without a background line", async () => {
  await chooseNetwork(page, colourNetwork({ labels: false }), "nameless.safetensors");
  await waitForAnswer(page, "class 0");
  const labels = page.getByLabel("Names of the classes");
  const give = (text, name = "names.txt") => labels.setInputFiles({ name, mimeType: "text/plain", buffer: Buffer.from(text) });
  await give("background\nrouge\nvert\nbleu\ngris\n");
  await waitForAnswer(page, "rouge");
  await give('{"0": ["n1", "rosso"], "1": ["n2", "verde"], "2": ["n3", "blu"], "3": ["n4", "grigio"]}', "names.json");
  await waitForAnswer(page, "rosso");
  await give("one\ntwo\n");
  assert.equal(await notice(page, "#chooser-error"), "The list holds 2 names, and the network has 4 classes. They wait for a network that they fit.");
  await waitForAnswer(page, "rosso");
  await give("<!doctype html><p>Sign in");
  assert.match(await notice(page, "#chooser-error"), /is a web page, not a list of names/);
});

const shown = (pattern) => page.waitForFunction((source) => new RegExp(source).test(document.querySelector("#facts").textContent), pattern.source);

test("the build and a worker can be chosen, and are shown", async () => {
  await chooseNetwork(page, colourNetwork(), "colours.safetensors");
  await page.getByLabel("Build").selectOption("simd128");
  await shown(/f32, SIMD, 1 thread/);
  await waitForAnswer(page, "rosso");
  await page.getByLabel("In a worker").check();
  await shown(/in a worker/);
  const here = await page.evaluate(async () => typeof (await import("/pkg/simd128/mobilenet.js")).MobileNet.prototype.train === "function");
  assert.equal(await page.getByRole("tab", { name: "Teach" }).isVisible(), here, "the Teach tab is there exactly where the network can be taught");
  await waitForAnswer(page, "rosso");
  await page.getByLabel("In a worker").uncheck();
  await page.getByLabel("Build").selectOption("");
  await shown(/1 thread(?!, in a worker)/);
});

test("threads beyond those that the page started want a reload, and the page says so", async (context) => {
  const offered = await page.locator("#threads option").count();
  if (offered < 2 || !existsSync(join(root, "pkg/threads"))) return context.skip("one core, or no threads build");
  await page.getByLabel("Build").selectOption("threads");
  await shown(/threads, 1 thread(?! \()/);
  await page.locator("#threads").selectOption("2");
  await shown(/threads, 1 thread \(more after a reload\)/);
  await waitForAnswer(page, "rosso");
  await page.locator("#threads").selectOption("1");
  await page.getByLabel("Build").selectOption("");
  await shown(/relaxed SIMD, 1 thread(?! \()/);
});

test("int8 can be chosen, and is shown", async (context) => {
  await page.getByLabel("Numbers").selectOption("int8");
  const outcome = page.locator("#chooser-error:not([hidden]), #facts dd:has-text('int8')").first();
  await outcome.waitFor();
  const text = await outcome.textContent();
  await page.getByLabel("Numbers").selectOption("");
  await shown(/f32/);
  if (/f32 alone/.test(text)) return context.skip(`this build has no int8: ${text}`);
  assert.match(text, /^int8, /);
  await waitForAnswer(page, "rosso");
});

test("inside: every layer with its Mult-Adds and its time", async () => {
  await page.getByRole("tab", { name: "Inside" }).click();
  await page.waitForFunction(() => /of the time/.test(document.querySelector("#panel-layers .lead").textContent), null, { timeout: 60_000 });
  const rows = page.locator(".layers tbody tr");
  assert.equal(await rows.count(), 1 + 2 * 13 + 2);
  for (const text of await page.locator(".layers tbody td:last-child").allTextContents()) assert.match(text, /^\d+\.\d\d ms$/);
  assert.match(await page.locator("#panel-layers").textContent(), /With full 3×3 convolutions the same network would need/);
});

test("an address in the page's own address is loaded at once", async () => {
  const shared = await opened.context.newPage();
  await shared.goto(`${opened.url}?weights=/mine/colours.safetensors&padding=same`);
  await shared.waitForFunction(() => document.querySelector("#facts").textContent.includes("/mine/colours.safetensors"));
  await shared.close();
});

test("nothing was written to the console but the browser's own word on 404", () => {
  assert.deepEqual(opened.complaints.filter((text) => !/404/.test(text)), []);
});

test("names that came before their network are used once it comes", async () => {
  await page.getByRole("tab", { name: "Network" }).click();
  const labels = page.getByLabel("Names of the classes");
  const names = Array.from({ length: 10 }, (_, index) => `name ${index}`);
  await labels.setInputFiles({ name: "names.txt", mimeType: "text/plain", buffer: Buffer.from(names.join("\n")) });
  assert.match(await notice(page, "#chooser-error"), /^The list holds 10 names, .* They wait for a network that they fit\.$/);
  await chooseNetwork(page, colourNetwork({ labels: false, classes: 10 }), "ten.safetensors");
  await waitForAnswer(page, "name 0");
});

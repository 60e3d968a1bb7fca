// The network chooser: file, address, labels, options, errors; the Inside tab of the network in use.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { colorNetwork } from "./color-network.js";
import { expect, test } from "./fixtures.js";
import { png, RED } from "./images.js";

const threads = fileURLToPath(new URL("../../pkg/threads", import.meta.url));
const ITALIAN = '{"0": ["n1", "rosso"], "1": ["n2", "verde"], "2": ["n3", "blu"], "3": ["n4", "grigio"]}';

test.use({ provoked: /404/ }); // the browser reports what is missing

// The page without a network, and then with others: the one that ships is hidden.
test.beforeEach(async ({ context }) => {
  const files = {
    "colors.safetensors": colorNetwork(),
    "cut.safetensors": colorNetwork().subarray(0, 5000),
    "page.html": "<!doctype html><title>Sign in</title>",
  };
  await context.route("**/pkg/default.safetensors", (route) => route.fulfill({ status: 404 }));
  const mine = ({ pathname }) => pathname.startsWith("/mine/");
  await context.route(mine, (route) => {
    const name = new URL(route.request().url()).pathname.split("/").at(-1);
    const body = files[name];
    const contentType = name.endsWith(".html") ? "text/html" : "application/octet-stream";
    return route.fulfill(body ? { body, contentType } : { status: 404 });
  });
});

test("without a network the page says how to choose one", async ({ demo, page }) => {
  await expect(page.locator("#no-network-why")).toHaveText(
    /safetensors or TFLite file, dropped anywhere or chosen below/,
  );
  await demo.button("Choose a network").click();
  await expect(page.locator("#weights-file")).toBeFocused();
});

test("an address that is missing, or is a web page, is reported by name", async ({ demo }) => {
  const error = async (address, message) => {
    await demo.loadAddress(address);
    await expect(demo.networkError).toHaveText(message);
  };
  await error("/mine/missing.safetensors", /missing\.safetensors.*404/);
  await error("/mine/page.html", /page\.html.*(HTML|web page)/i);
  await error("http://elsewhere.test/x.safetensors", /neither on this page’s server nor an https:\/\/ address/);
  await error("   ", /Type the network’s address first/);
});

test("a network is loaded from its address", async ({ demo, page }) => {
  await demo.loadAddress("/mine/colors.safetensors");
  await expect(demo.facts).toContainText("/mine/colors.safetensors");
  await demo.showImage(png(RED));
  await expect(demo.answer).toHaveText("red thing");
  await expect(page.locator("#no-network")).toBeHidden();
  await expect(demo.status).toHaveText(/MobileNet-32 · f32, .*1 thread$/);
});

test("a truncated file is refused, and the network in use stays", async ({ colors: demo }) => {
  await demo.loadAddress("/mine/cut.safetensors");
  await expect(demo.networkError).toHaveText(/cut\.safetensors/);
  await demo.button("Sample").click();
  await demo.showImage(png(RED));
  await expect(demo.answer).toHaveText("red thing");
  await expect(demo.facts).toContainText("colors.safetensors");
});

test("a file of another kind is refused by name", async ({ colors: demo, page }) => {
  const poem = { name: "poem.safetensors", mimeType: "", buffer: Buffer.from("a poem, and no tensors at all") };
  await page.getByLabel("Network file").setInputFiles(poem);
  await expect(demo.networkError).toHaveText(/.{21}/);
  await expect(demo.facts).toContainText("colors.safetensors");
});

test("labels for a network without any, with or without a background line", async ({ demo }) => {
  await demo.loadNetwork(colorNetwork({ labels: false }), "nameless.safetensors");
  await demo.showImage(png(RED));
  await expect(demo.answer).toHaveText("class 0");
  await demo.giveLabels("background\nrouge\nvert\nbleu\ngris\n");
  await expect(demo.answer).toHaveText("rouge");
  await demo.giveLabels(ITALIAN, "names.json");
  await expect(demo.answer).toHaveText("rosso");
  await demo.giveLabels("one\ntwo\n");
  await expect(demo.networkError).toHaveText(
    "The list holds 2 names, and the network has 4 classes. They wait for a network that they fit.",
  );
  await expect(demo.answer).toHaveText("rosso");
  await demo.giveLabels("<!doctype html><p>Sign in");
  await expect(demo.networkError).toHaveText(/is a web page, not a list of names/);
});

test("the build and a worker can be chosen, and are shown", async ({ demo, page }) => {
  await demo.loadNetwork(colorNetwork({ labels: false }), "nameless.safetensors");
  await demo.giveLabels(ITALIAN, "names.json");
  await demo.showImage(png(RED));
  await demo.loadNetwork(colorNetwork());
  await expect(demo.answer).toHaveText("rosso"); // labels that were given stay
  await page.getByLabel("Build").selectOption("simd128");
  await expect(demo.facts).toContainText("f32, SIMD, 1 thread");
  await expect(demo.answer).toHaveText("rosso");
  await page.getByLabel("In a worker").check();
  await expect(demo.facts).toContainText("in a worker");
  // The Teach tab is there exactly if the build can be trained.
  const trains = await page.evaluate(async () => {
    const { MobileNet } = await import("/pkg/simd128/mobilenet.js");
    return typeof MobileNet.prototype.train === "function";
  });
  await expect(demo.tab("Teach")).toBeVisible({ visible: trains });
  await expect(demo.answer).toHaveText("rosso");
  await page.getByLabel("In a worker").uncheck();
  await page.getByLabel("Build").selectOption("");
  await expect(demo.facts).toContainText(/relaxed SIMD, 1 thread(?!, in a worker)/);
});

test("more threads than the page started need a reload, and the page says so", async ({ colors: demo, page }) => {
  test.skip(!existsSync(threads), "pkg/threads is not built");
  test.skip((await page.locator("#threads option").count()) < 2, "one core");
  await demo.showImage(png(RED));
  await page.getByLabel("Build").selectOption("threads");
  await expect(demo.facts).toContainText(/threads, 1 thread(?! \()/);
  await page.locator("#threads").selectOption("2");
  await expect(demo.facts).toContainText("threads, 1 thread (more after a reload)");
  await expect(demo.answer).toHaveText("red thing");
  await page.locator("#threads").selectOption("1");
  await page.getByLabel("Build").selectOption("");
  await expect(demo.facts).toContainText(/relaxed SIMD, 1 thread(?! \()/);
});

test("int8 can be chosen, and is shown", async ({ colors: demo, page }) => {
  await demo.showImage(png(RED));
  await page.getByLabel("Numbers").selectOption("int8");
  await expect(demo.facts.locator("dd", { hasText: /^int8, / })).toBeVisible();
  await page.getByLabel("Numbers").selectOption("");
  await expect(demo.facts).toContainText("f32");
  await expect(demo.answer).toHaveText("red thing");
});

test("every layer is listed with its Mult-Adds and its time", async ({ colors: demo, page }) => {
  await demo.tab("Inside").click();
  await expect(page.locator("#panel-layers .lead")).toHaveText(/of the time/, { timeout: 60_000 });
  await expect(page.locator(".layers tbody tr")).toHaveCount(1 + 2 * 13 + 2);
  const times = await page.locator(".layers tbody td:last-child").allTextContents();
  for (const time of times) expect(time).toMatch(/^\d+\.\d\d ms$/);
  await expect(page.locator("#panel-layers")).toHaveText(/With full 3×3 convolutions the same network would need/);
});

test("a network in the page's own address is loaded at once", async ({ demo, page }) => {
  await page.goto("/?weights=/mine/colors.safetensors&padding=same");
  await expect(demo.facts).toContainText("/mine/colors.safetensors");
});

test("labels that came before their network are used with it", async ({ colors: demo }) => {
  const names = Array.from({ length: 10 }, (_, index) => `name ${index}`);
  await demo.giveLabels(names.join("\n"));
  await expect(demo.networkError).toHaveText(/^The list holds 10 names, .* They wait for a network that they fit\.$/);
  await demo.showImage(png(RED));
  await demo.loadNetwork(colorNetwork({ labels: false, classes: 10 }), "ten.safetensors");
  await expect(demo.answer).toHaveText("name 0");
});

// Phone to wide screen, light and dark, by keyboard alone, under the strict content security policy.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { chooseNetwork, colourNetwork, openPage } from "./helpers.mjs";

let opened, page;

before(async () => {
  opened = await openPage();
  page = opened.page;
  await chooseNetwork(page, colourNetwork());
});
after(() => opened?.close());

const TABS = ["Network", "Inside", "Teach"];

test("no width scrolls sideways, whichever tab is open", async () => {
  for (const width of [320, 390, 768, 1280, 1920]) {
    await page.setViewportSize({ width, height: 800 });
    for (const name of TABS) {
      const tab = page.getByRole("tab", { name });
      if (!(await tab.isVisible())) continue;
      await tab.click();
      const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(over <= 0, `${name} at ${width} px is ${over} px too wide`);
    }
  }
  await page.setViewportSize({ width: 1280, height: 800 });
});

test("a network slower than any frame rate still fits its strip", async () => {
  await page.setViewportSize({ width: 390, height: 844 });
  const over = await page.evaluate(() => {
    const strip = document.querySelector("#strip");
    for (const [part, share] of [["grab", 0.2], ["resize", 0.4], ["network", 3]]) strip.style.setProperty(`--${part}`, share);
    const { right } = strip.getBoundingClientRect();
    return [...strip.children].map((part) => part.getBoundingClientRect().right - right).filter((past) => past > 0.5);
  });
  assert.deepEqual(over, []);
});

test("on a phone what is touched is large enough, and the answer is on the first screen", async () => {
  await page.setViewportSize({ width: 390, height: 844 });
  const small = await page.locator("button:visible, select:visible").evaluateAll((all) => all.map((one) => [one.textContent.trim().slice(0, 20), one.getBoundingClientRect()]).filter(([, box]) => box.height < 44 || box.width < 44).map(([name]) => name));
  assert.deepEqual(small, []);
  const box = await page.locator("#top-name").boundingBox();
  assert.ok(box.y + box.height < 844, `the headline ends at ${box.y + box.height}`);
  await page.setViewportSize({ width: 1280, height: 800 });
});

/** Contrast of an element's text with what lies behind it, as WCAG counts. */
function contrast(selector) {
  return page.locator(selector).first().evaluate((element) => {
    const parse = (colour) => colour.match(/[\d.]+/g).map(Number);
    let back = element;
    while (back && (parse(getComputedStyle(back).backgroundColor)[3] ?? 1) === 0) back = back.parentElement;
    const luminance = (colour) => {
      const [r, g, b] = parse(colour).map((byte) => (byte / 255 <= 0.03928 ? byte / 255 / 12.92 : ((byte / 255 + 0.055) / 1.055) ** 2.4));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const [a, b] = [getComputedStyle(element).color, getComputedStyle(back ?? document.body).backgroundColor].map(luminance);
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  });
}

test("text can be read in light and in dark", async () => {
  await page.getByRole("tab", { name: "Network" }).click();
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const bright = background.match(/\d+/g).map(Number)[0] > 128;
    assert.equal(bright, colorScheme === "light", `${colorScheme} has the background ${background}`);
    for (const selector of ["#top-name", ".promise", "#status", "#camera", "#open", ".bar-value", ".times dt", ".tabs button", ".facts dt", "legend", ".chooser label"]) {
      const ratio = await contrast(selector);
      assert.ok(ratio >= 4.5, `${selector} in ${colorScheme}: contrast ${ratio.toFixed(2)}`);
    }
  }
  await page.emulateMedia({ colorScheme: null });
});

test("by keyboard: everything can be reached in order, and seen to have the focus", async () => {
  await page.locator(".skip").focus();
  await page.keyboard.press("Shift+Tab"); // out of the page, so that the next Tab enters it
  const seen = [];
  for (let step = 0; step < 40; step++) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(() => {
      const element = document.activeElement;
      const style = getComputedStyle(element);
      return { id: element.id || element.name || element.textContent.trim(), outline: style.outlineStyle !== "none" || element.className === "skip", body: element === document.body };
    });
    if (at.body) break;
    assert.ok(at.outline, `${at.id} shows no focus`);
    seen.push(at.id);
  }
  const wanted = ["To the answer", "camera", "mirror", "look", "open", "sample", "tab-network", "weights-file", "weights-url", "padding", "normalisation", "labels-file", "precision", "variant", "threads", "worker", "Load"];
  let from = 0;
  for (const name of wanted) {
    if (name === "threads" && (await page.locator("#threads").isDisabled())) continue;
    const at = seen.indexOf(name, from);
    assert.ok(at >= from, `${name} comes in its turn: ${seen.join(", ")}`);
    from = at;
  }
});

test("by keyboard: tabs move with the arrows, and only the chosen one is a stop", async () => {
  await page.locator("#tab-network").focus();
  await page.keyboard.press("ArrowRight");
  assert.equal(await page.evaluate(() => document.activeElement.id), "tab-layers");
  assert.ok(await page.locator("#panel-layers").isVisible());
  assert.ok(await page.locator("#panel-network").isHidden());
  await page.keyboard.press("Home");
  assert.equal(await page.evaluate(() => document.activeElement.id), "tab-network");
  assert.deepEqual(await page.locator('[role="tab"]:not([hidden])').evaluateAll((tabs) => tabs.map((tab) => tab.tabIndex).filter((index) => index === 0)), [0]);
});

test("a chosen tab's panel comes into sight, below its tabs", async () => {
  await page.setViewportSize({ width: 1280, height: 800 });
  for (const name of ["Inside", "Network"]) {
    await page.evaluate(() => scrollTo({ top: 0, behavior: "instant" }));
    await page.getByRole("tab", { name }).evaluate((tab) => tab.click()); // a click that does not scroll by itself
    const inSight = () => {
      const [tabs, panel] = [document.querySelector('[role="tablist"]'), document.querySelector(".panel:not([hidden])")].map((part) => part.getBoundingClientRect());
      return tabs.top >= 0 && panel.top < innerHeight / 2;
    };
    await page.waitForFunction(inSight, null, { timeout: 5000 });
  }
});

test("by keyboard: the skip link and a button", async () => {
  await page.locator(".skip").focus();
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "answer");
  await page.locator("#mirror").focus();
  await page.keyboard.press("Space");
  assert.equal(await page.locator("#mirror").getAttribute("aria-pressed"), "true");
  await page.keyboard.press("Enter");
  assert.equal(await page.locator("#mirror").getAttribute("aria-pressed"), "false");
});

test("everything that can be operated has a name", async () => {
  const nameless = await page.locator("button, input:not([hidden]), select, [role=img], canvas:not([aria-hidden])").evaluateAll((all) =>
    all.filter((one) => !(one.ariaLabel || one.textContent.trim() || one.labels?.length || one.title || one.closest("label"))).map((one) => one.outerHTML.slice(0, 80)),
  );
  assert.deepEqual(nameless, []);
});

test("reduced motion stops what moves by itself", async () => {
  await page.emulateMedia({ reducedMotion: "reduce" });
  assert.equal(await page.locator(".bar").first().evaluate((bar) => getComputedStyle(bar).transitionProperty), "none");
  await page.emulateMedia({ reducedMotion: null });
});

test("nothing comes from elsewhere, and the policy refuses what would", async () => {
  const addresses = await page.evaluate(() => performance.getEntriesByType("resource").map(({ name }) => name));
  assert.ok(addresses.length > 5);
  for (const address of addresses) assert.ok(address.startsWith(opened.url) || address.startsWith("blob:"), address);
  const refused = await page.evaluate(
    () =>
      new Promise((done) => {
        document.addEventListener("securitypolicyviolation", (event) => done(event.effectiveDirective), { once: true });
        document.body.append(Object.assign(document.createElement("script"), { textContent: "globalThis.broken = 1" }));
      }),
  );
  assert.match(refused, /^script-src/);
  assert.equal(await page.evaluate(() => globalThis.broken), undefined);
});

// Phone to wide screen, light and dark, by keyboard alone, under the strict content security policy.
import { expect, test } from "./fixtures.js";

const PHONE = { width: 390, height: 844 };

test("no width scrolls sideways, whichever tab is open", async ({ colors: demo, page }) => {
  for (const width of [320, 390, 768, 1280, 1920]) {
    await page.setViewportSize({ width, height: 800 });
    for (const name of ["Network", "Inside", "Teach"]) {
      await demo.tab(name).click();
      const excess = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      expect(excess, `pixels too wide: ${name} at ${width}`).toBeLessThanOrEqual(0);
    }
  }
});

test("the strip holds the times of a network slower than any frame rate", async ({ colors: demo }) => {
  await demo.page.setViewportSize(PHONE);
  const excess = await demo.page.locator("#strip").evaluate((strip) => {
    const shares = { grab: 0.2, resize: 0.4, network: 3 };
    for (const [part, share] of Object.entries(shares)) strip.style.setProperty(`--${part}`, share);
    const { right } = strip.getBoundingClientRect();
    return [...strip.children]
      .map((part) => part.getBoundingClientRect().right - right)
      .filter((pixels) => pixels > 0.5);
  });
  expect(excess).toEqual([]);
});

test("on a phone buttons are large enough, and the answer is on the first screen", async ({ colors: demo, page }) => {
  await page.setViewportSize(PHONE);
  const small = await page.locator("button:visible, select:visible").evaluateAll((all) =>
    all
      .map((element) => ({ name: element.textContent.trim().slice(0, 20), box: element.getBoundingClientRect() }))
      .filter(({ box }) => box.height < 44 || box.width < 44)
      .map(({ name }) => name),
  );
  expect(small).toEqual([]);
  const box = await demo.answer.boundingBox();
  expect(box.y + box.height).toBeLessThan(PHONE.height);
});

/** The contrast of an element's text with its background, by WCAG's formula. */
function contrast(locator) {
  return locator.first().evaluate((element) => {
    const parse = (color) => color.match(/[\d.]+/g).map(Number);
    const transparent = (one) => (parse(getComputedStyle(one).backgroundColor)[3] ?? 1) === 0;
    let back = element;
    while (back && transparent(back)) back = back.parentElement;
    const linear = (byte) => (byte / 255 <= 0.03928 ? byte / 255 / 12.92 : ((byte / 255 + 0.055) / 1.055) ** 2.4);
    const luminance = (color) => {
      const [r, g, b] = parse(color).map(linear);
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const text = luminance(getComputedStyle(element).color);
    const background = luminance(getComputedStyle(back ?? document.body).backgroundColor);
    return (Math.max(text, background) + 0.05) / (Math.min(text, background) + 0.05);
  });
}

const TEXTS = [
  "#top-name",
  ".promise",
  "#status",
  "#camera",
  "#open",
  ".bar-value",
  ".times dt",
  ".tabs button",
  ".facts dt",
  "legend",
  ".chooser label",
];

for (const colorScheme of ["light", "dark"]) {
  test.describe(colorScheme, () => {
    test.use({ colorScheme });

    test("text is legible", async ({ colors: demo, page }) => {
      await demo.tab("Network").click();
      await expect(demo.answer).toHaveText(/\S/);
      const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      const bright = Number(background.match(/\d+/)[0]) > 128;
      expect(bright, `background ${background}`).toBe(colorScheme === "light");
      for (const selector of TEXTS) {
        expect(await contrast(page.locator(selector)), `contrast of ${selector}`).toBeGreaterThanOrEqual(4.5);
      }
    });
  });
}

test("by keyboard: everything can be reached in order, and shows that it has the focus", async ({ colors, page }) => {
  await expect(colors.button("Where?")).toBeEnabled();
  await page.locator(".skip").focus();
  await page.keyboard.press("Shift+Tab"); // out of the page, so that the next Tab enters it
  const seen = [];
  for (let step = 0; step < 40; step++) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(() => {
      const element = document.activeElement;
      const { outlineStyle } = getComputedStyle(element);
      return {
        id: element.id || element.name || element.textContent.trim(),
        outline: outlineStyle !== "none" || element.className === "skip",
        body: element === document.body,
      };
    });
    if (at.body || seen.includes(at.id)) break; // all have had the focus
    expect(at.outline, `${at.id} has an outline`).toBe(true);
    seen.push(at.id);
  }
  const source = ["To the answer", "camera", "mirror", "look", "open", "sample"];
  const chooser = ["tab-network", "weights-file", "weights-url", "padding", "normalisation", "labels-file"];
  const running = ["precision", "variant", "threads", "worker", "Load"];
  const threads = await page.locator("#threads").isEnabled();
  const wanted = [...source, ...chooser, ...running].filter((name) => name !== "threads" || threads);
  expect(seen.filter((name) => wanted.includes(name))).toEqual(wanted);
});

test("by keyboard: tabs move with the arrows, and only the selected one is a stop", async ({ colors, page }) => {
  await page.locator("#tab-network").focus();
  await page.keyboard.press("ArrowRight");
  await expect(colors.tab("Inside")).toBeFocused();
  await expect(page.locator("#panel-layers")).toBeVisible();
  await expect(page.locator("#panel-network")).toBeHidden();
  await page.keyboard.press("Home");
  await expect(colors.tab("Network")).toBeFocused();
  const stops = await page
    .locator('[role="tab"]:not([hidden])')
    .evaluateAll((tabs) => tabs.map((tab) => tab.tabIndex).filter((index) => index === 0));
  expect(stops).toEqual([0]);
});

test("a selected tab's panel scrolls into view, below its tabs", async ({ colors: demo, page }) => {
  for (const name of ["Inside", "Network"]) {
    await page.evaluate(() => scrollTo({ top: 0, behavior: "instant" }));
    await demo.tab(name).evaluate((tab) => tab.click()); // a click that does not scroll by itself
    const position = () =>
      page.evaluate(() => {
        const top = (selector) => document.querySelector(selector).getBoundingClientRect().top;
        return top('[role="tablist"]') >= 0 && top(".panel:not([hidden])") < innerHeight / 2;
      });
    await expect.poll(position, { timeout: 5000 }).toBe(true);
  }
});

test("by keyboard: the skip link and a button", async ({ colors: demo, page }) => {
  await page.locator(".skip").focus();
  await page.keyboard.press("Enter");
  await expect(page.locator("#answer")).toBeFocused();
  await page.locator("#mirror").focus();
  await page.keyboard.press("Space");
  await expect(demo.button("Mirror")).toHaveAttribute("aria-pressed", "true");
  await page.keyboard.press("Enter");
  await expect(demo.button("Mirror")).toHaveAttribute("aria-pressed", "false");
});

test("every control has an accessible name", async ({ colors, page }) => {
  await expect(colors.button("Camera")).toBeVisible();
  const controls = page.locator("button, input:not([hidden]), select, [role=img], canvas:not([aria-hidden])");
  const nameless = await controls.evaluateAll((all) =>
    all
      .filter(
        (one) => !(one.ariaLabel || one.textContent.trim() || one.labels?.length || one.title || one.closest("label")),
      )
      .map((one) => one.outerHTML.slice(0, 80)),
  );
  expect(nameless).toEqual([]);
});

test.describe("with reduced motion", () => {
  test.use({ contextOptions: { reducedMotion: "reduce" } });

  test("bars do not move", async ({ colors, page }) => {
    await expect(colors.answer).toHaveText(/\S/);
    await expect(page.locator(".bar").first()).toHaveCSS("transition-property", "none");
  });
});

test.describe("under the content security policy", () => {
  test.use({ provoked: /Content Security Policy/ });

  test("nothing comes from other origins, and an inline script is refused", async ({ colors, page, baseURL }) => {
    await expect(colors.answer).toHaveText(/\S/);
    const resources = await page.evaluate(() => performance.getEntriesByType("resource").map(({ name }) => name));
    expect(resources.length).toBeGreaterThan(5);
    for (const address of resources)
      expect(address.startsWith(baseURL) || address.startsWith("blob:"), address).toBe(true);
    const directive = await page.evaluate(
      () =>
        new Promise((done) => {
          const report = ({ effectiveDirective }) => done(effectiveDirective);
          document.addEventListener("securitypolicyviolation", report, { once: true });
          const script = Object.assign(document.createElement("script"), { textContent: "globalThis.broken = 1" });
          document.body.append(script);
        }),
    );
    expect(directive).toMatch(/^script-src/);
    expect(await page.evaluate(() => globalThis.broken)).toBe(undefined);
  });
});

// Tests in the installed Chrome or Chromium: `npm run test:e2e`, or `npx playwright test images` for one file.
import { defineConfig } from "@playwright/test";
import { launchOptions } from "./tests/browser.js";

export default defineConfig({
  testDir: "tests/e2e",
  outputDir: "target/e2e/results",
  fullyParallel: true,
  workers: 2,
  forbidOnly: Boolean(process.env.CI),
  reporter: "list",
  timeout: 120_000,
  expect: { timeout: 30_000 },
  use: {
    // The group's name in `webServer.wait`.
    baseURL: `http://127.0.0.1:${process.env.VITE_PORT}/`,
    // page.test is the page at an address that browsers do not trust.
    launchOptions: launchOptions(["--host-resolver-rules=MAP page.test 127.0.0.1"]),
    viewport: { width: 1280, height: 800 },
    screenshot: "only-on-failure",
  },
  projects: [
    { name: "page", testIgnore: "reference.spec.js" },
    { name: "convert", testMatch: "convert.setup.js" },
    { name: "reference", testMatch: "reference.spec.js", dependencies: ["convert"] },
  ],
  webServer: {
    command: "npx vite --config tests/e2e/vite.config.js",
    wait: { stdout: /http:\/\/127\.0\.0\.1:(?<vite_port>\d+)/ },
  },
});

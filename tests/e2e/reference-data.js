// Where the reference data is: networks, photographs and the answers that they must give.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const path = (name) => fileURLToPath(new URL(name, import.meta.url));

/** The folder, or undefined. */
export const shared = [process.env.MOBILENET_SHARED, path("../../../shared")].find(
  (folder) => folder && existsSync(`${folder}/weights`) && existsSync(`${folder}/photos`),
);

/** Why a test that needs it is skipped. */
export const missing = "reference data is missing: set MOBILENET_SHARED to the folder with weights/ and photos/";

/** What convert.setup.js writes. */
export const converted = path("../../target/e2e/converted");

/** The part of Node's own API that is used, so that no other name of Node's is taken for one of the browser's. */
declare module "node:fs/promises" {
  export function readFile(file: URL): Promise<Uint8Array<ArrayBuffer>>;
}

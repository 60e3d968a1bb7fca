/** The one kind of error this package throws, and the words that errors are made of. */
import type { ErrorCode } from "./simd128/mobilenet.js";

/**
 * An error of this package. `code` is stable and meant for programs; `message` is meant for people and says what is wrong
 * and what to do. An aborted call is refused with the signal's own reason instead.
 */
export class MobileNetError extends Error {
  override readonly name = "MobileNetError";
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }

  /** Also true for the errors that the class makes in WebAssembly, which cannot extend a class of JavaScript. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return (value as Error | null | undefined)?.name === "MobileNetError";
  }
}

export function fail(code: ErrorCode, message: string, cause?: unknown): never {
  throw new MobileNetError(code, message, { cause });
}

/** The interface of a platform object (`ImageData`, `URL`), whatever window it comes from; "" for other values. */
export function tagOf(value: unknown): string {
  return (typeof value === "object" && (value as { [Symbol.toStringTag]?: string } | null)?.[Symbol.toStringTag]) || "";
}

/** Names a value in a message: `3`, `"int4"`, `null`, `an array`, `an HTMLDivElement`. */
export function describe(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (value == null || typeof value === "number" || typeof value === "boolean") return String(value);
  const kind = Array.isArray(value) ? "array" : tagOf(value) || typeof value;
  return `${/^[aeioAEIOHX]/.test(kind) ? "an" : "a"} ${kind}`;
}

/** What was thrown, as text for a message. */
export function reason(thrown: unknown): string {
  const message = (thrown as Error | null | undefined)?.message;
  return message ?? (typeof thrown === "string" ? thrown : "no reason given");
}

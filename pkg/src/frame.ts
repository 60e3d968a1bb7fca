/**
 * Frames on their way to the worker. What can be taken is taken. Of anything else the worker is told enough for the class
 * there to say what is wrong with it, so that the rules for frames are in the class alone.
 */
import { MobileNetError, tagOf } from "./load.js";

/** What is posted for a frame. */
export interface Captured {
  frame: unknown;
  transfer: Transferable[];
  /** Whether `frame` is a `Description`. */
  isDescribed?: boolean;
}

/** A value that cannot be posted: what kind it is, and what the class could ask of it. */
export interface Description {
  /** Why the browser could not take it, if it tried. */
  reason?: string | undefined;
  type: string;
  tag: string;
  value?: unknown;
  fields: Record<string, Description>;
  /** Whether the page may not read it. */
  isTainted?: boolean;
}

/** Posted for a frame of another origin. */
export const tainted: Captured = {
  frame: { type: "object", tag: "ImageBitmap", fields: {}, isTainted: true } satisfies Description,
  transfer: [],
  isDescribed: true,
};

const keys = [
  "width",
  "height",
  "videoWidth",
  "videoHeight",
  "naturalWidth",
  "naturalHeight",
  "displayWidth",
  "displayHeight",
  "readyState",
  "data",
];

/** Takes the frame as it is now; what its owner does with it afterwards changes nothing. */
export function capture(frame: unknown): Captured | Promise<Captured> {
  const tag = tagOf(frame);
  const own = (copy: ImageBitmap | VideoFrame): Captured => ({ frame: copy, transfer: [copy] });
  const other = (thrown?: Error): Captured => {
    if (thrown?.name === "SecurityError") return tainted;
    return { frame: { ...describeFrame(frame), reason: thrown?.message }, transfer: [], isDescribed: true };
  };
  if (tag === "VideoFrame") {
    try {
      return own((frame as VideoFrame).clone());
    } catch {
      return other();
    }
  }
  if (/^(HTML(Canvas|Image|Video)Element|OffscreenCanvas|ImageBitmap)$/.test(tag)) {
    return createImageBitmap(frame as ImageBitmapSource).then(own, other);
  }
  const { data, width, height } = Object(frame) as { data?: Uint8Array; width?: unknown; height?: unknown };
  if (!ArrayBuffer.isView(data) || !data.slice) return other();
  // A buffer that was transferred away has no bytes, and cannot be copied.
  const copy = data.length > 0 ? data.slice() : new Uint8Array();
  return { frame: { data: copy, width, height }, transfer: [copy.buffer] };
}

function describeFrame(value: unknown): Description {
  const type = Array.isArray(value) ? "array" : value === null ? "null" : typeof value;
  const description: Description = { type, tag: tagOf(value), fields: {} };
  if (type === "object") {
    for (const key of keys) {
      const field = (value as Record<string, unknown>)[key];
      if (field !== undefined) description.fields[key] = describeFrame(field);
    }
  } else if (!/array|function|symbol/.test(type)) description.value = value;
  return description;
}

/** The worker's side: a value of the same kind and fields. */
export function revive({ type, tag, value, fields, isTainted }: Description): unknown {
  if (type === "array") return [];
  if (type === "function") return () => {};
  if (type === "symbol") return Symbol();
  if (type !== "object") return value;
  const entries = Object.entries(fields).map(([key, field]) => [key, revive(field)]);
  const standIn = Object.defineProperty(Object.fromEntries(entries), Symbol.toStringTag, { value: tag || undefined });
  if (!isTainted) return standIn;
  return Object.defineProperty(standIn, "width", {
    get() {
      throw new DOMException("the frame comes from another origin", "SecurityError");
    },
  });
}

/** The worker's side: what the class says of a description that it could not draw, with why the frame was not taken. */
export function withReason(error: unknown, { reason }: Description): unknown {
  if (!reason || !(error instanceof MobileNetError)) return error;
  try {
    new OffscreenCanvas(1, 1).getContext("2d")?.drawImage({} as ImageBitmap, 0, 0);
    return error;
  } catch (thrown) {
    return new MobileNetError(
      error.code,
      error.message.replace((thrown as Error).message, () => reason),
    );
  }
}

// Three lines that every panel needs.

/** The element with this id. */
export const byId = (id) => document.getElementById(id);

/** A new element: `make("p", { className: "x" }, "text", child)`; keys with a dash become attributes. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key.includes("-") || key === "role" || key === "for") element.setAttribute(key, value);
    else element[key] = value;
  }
  element.append(...children);
  return element;
}

/** Shows a sentence in a notice, or hides the notice where there is none. */
export function tell(notice, sentence) {
  notice.textContent = sentence ?? "";
  notice.hidden = !sentence;
}

/** 568740352 → "569 M". */
export function short(count) {
  if (count >= 1e9) return `${(count / 1e9).toFixed(2)} G`;
  if (count >= 1e6) return `${(count / 1e6).toFixed(count < 9.95e6 ? 1 : 0)} M`;
  if (count >= 1e3) return `${(count / 1e3).toFixed(0)} k`;
  return String(count);
}

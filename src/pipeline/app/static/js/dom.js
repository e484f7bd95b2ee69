// Builds elements. Text is always set as text, never as HTML: a file name or label may hold anything.

import { t } from "./text.js";

/** Makes an element: h("button", { class: "x", onclick: f, disabled: true }, "text", child, ...). */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// Outlines on a ground of 24 x 24, drawn for this page.
const PATHS = {
  back: "M15 5l-7 7 7 7",
  camera: "M4 8h3l2-3h6l2 3h3v11H4zM12 10a3.500 3.500 0 1 0 0 7 3.500 3.500 0 0 0 0-7z",
  check: "M5 12.500l4.500 4.500L19 7.500",
  close: "M6 6l12 12M18 6L6 18",
  download: "M12 4v11M7.500 11l4.500 4.500 4.500-4.500M5 20h14",
  enlarge: "M10.500 4a6.500 6.500 0 1 0 0 13 6.500 6.500 0 0 0 0-13zM15.200 15.200L20 20M10.500 7.500v6M7.500 10.500h6",
  folder: "M3 6h6l2 2.500h10V19H3z",
  forward: "M9 5l7 7-7 7",
  heat: "M12 3c1 4 5 5.500 5 10.500a5 5 0 0 1-10 0C7 11 8.500 10 9 8c1.500.500 2 1.500 2 3 1.500-2 1.500-5 1-8z",
  photo: "M4 5h16v14H4zM4 16l5-5 4 4 2.500-2.500L20 17M15.500 9.500h.010",
  question: "M9 9.500a3 3 0 1 1 4.200 2.700c-.900.400-1.200 1-1.200 1.800v.500M12 17.500h.010",
  warning: "M12 4l9 16H3zM12 10v4.500M12 17.300h.010",
};

/** Makes an icon, which a screen reader passes over. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  for (const [key, value] of Object.entries({ viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true" })) {
    svg.setAttribute(key, value);
  }
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** Opens a modal dialog with a title and a way out; returns it. It is removed when it is closed. */
export function dialog(title, ...children) {
  const heading = h("h2", { id: `title-${Math.random().toString(36).slice(2)}` }, title);
  const close = h("button", { class: "quiet round", type: "button", "aria-label": t("close"), onclick: () => made.close() }, icon("close"));
  const made = h("dialog", { "aria-labelledby": heading.id }, h("div", { class: "dialog-head" }, heading, close), ...children);
  made.addEventListener("close", () => made.remove());
  made.addEventListener("click", (event) => event.target === made && made.close());
  document.body.append(made);
  made.showModal();
  return made;
}

/** Says something to a screen reader. */
export function announce(text) {
  document.getElementById("status").textContent = text;
}

/** Shows a sentence at the foot of the page for some seconds, or until it is put away. */
export function note(text) {
  const shown = h("div", { class: "note" }, h("p", {}, text));
  const put = () => shown.remove();
  shown.append(h("button", { class: "quiet round", type: "button", "aria-label": t("close"), onclick: put }, icon("close")));
  document.getElementById("notes").append(shown);
  setTimeout(put, 12_000);
}

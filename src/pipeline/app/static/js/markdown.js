// Shows the project's own model cards: headings, paragraphs, lists and tables of Markdown, as elements.

import { h } from "./dom.js";

const inline = (text) => text.replace(/\*\*|`/g, "").replace(/\\([\\|<>*_`#&[\]!~-])/g, "$1").replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");
const cells = (line) => line.trim().replace(/^\||\|$/g, "").split(/(?<!\\)\|/).map((cell) => inline(cell.trim()));

const FRONT_MATTER = /^---\n.*?\n---\n/s; // YAML for Hugging Face's hub, not for people

/** Returns elements for a text, without its front matter; headings begin two levels lower. */
export function render(text) {
  const shown = [];
  for (const block of text.replace(FRONT_MATTER, "").split(/\n\s*\n/)) {
    const lines = block.trim().split("\n");
    while (lines[0]?.startsWith("#")) {
      const [, marks, title] = lines.shift().match(/^(#+)\s*(.*)$/);
      shown.push(h(`h${Math.min(6, marks.length + 2)}`, {}, inline(title)));
    }
    if (!lines[0]) continue;
    if (lines[0].startsWith("|")) shown.push(table(lines));
    else if (/^[-*] /.test(lines[0])) {
      shown.push(h("ul", {}, lines.map((line) => h("li", {}, inline(line.replace(/^[-*] /, ""))))));
    } else shown.push(h("p", {}, inline(lines.join(" "))));
  }
  return shown;
}

function table(lines) {
  const [head, , ...rows] = lines;
  return h(
    "div",
    { class: "scroll", tabindex: "0" },
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, cells(head).map((cell) => h("th", { scope: "col" }, cell)))),
      h("tbody", {}, rows.map((row) => h("tr", {}, cells(row).map((cell) => h("td", {}, cell))))),
    ),
  );
}

// Puts the page together: language, parts, sign-in.

import { h } from "./dom.js";
import * as model from "./model.js";
import * as recognise from "./recognise.js";
import * as review from "./review.js";
import * as signin from "./signin.js";
import * as text from "./text.js";
import * as train from "./train.js";

const PARTS = { recognise, review, train };
const main = document.getElementById("main");
let shown = null;

function part() {
  const named = location.hash.slice(1);
  return named in PARTS ? named : "recognise";
}

function go() {
  if (shown) PARTS[shown].leave();
  shown = part();
  document.title = `${text.t(`part.${shown}`)} – animal`;
  tabs();
  PARTS[shown].show(main);
}

function tabs() {
  const links = Object.keys(PARTS).map((name) =>
    h("a", { href: `#${name}`, "aria-current": name === shown ? "page" : null }, text.t(`part.${name}`)));
  document.getElementById("tabs").replaceChildren(...(links.length > 1 ? links : []));
}

function languages() {
  const select = document.getElementById("language");
  const options = Object.entries(text.LANGUAGES).map(([tag, name]) => h("option", { value: tag, lang: tag, selected: tag === text.language }, name));
  select.replaceChildren(...options);
  select.onchange = async () => {
    await text.choose(select.value);
    model.show();
    tabs();
    PARTS[shown].redraw();
  };
}

await text.load();
languages();
recognise.listen();
addEventListener("hashchange", go);
addEventListener("signed-out", () => signin.show(main, () => (model.refresh(), go())));
go();
model.follow();

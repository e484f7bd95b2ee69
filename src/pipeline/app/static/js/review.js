// The second part of the page: confirm or correct the names, with the keyboard or the pointer.

import * as api from "./api.js";
import { about, chooseSpecies, isDone, load, loadThoseOn, nameField, store, summarise, who } from "./decisions.js";
import * as detail from "./detail.js";
import { announce, h, icon, note } from "./dom.js";
import { allAnswered, items, kind, put, title } from "./recognise.js";
import { percent, t } from "./text.js";

const CHOICES = 9; // species that have a key

let place;
let suspects = []; // photos of the collection whose label is probably wrong
let reading = null; // { done, n } while they are fetched and answered
let everything = false; // whether photos that are done are shown too
let at = 0; // which photo has the focus
let anchor = 0; // from which a selection is extended
let chosen = new Set(); // photos that are selected; none means the one with the focus
const undoable = []; // lists of photos whose decisions can be taken back

/** Shows the part in an element. */
export async function show(main) {
  place = main;
  place.replaceChildren();
  await load();
  const added = new Set(items.filter((item) => item.suspect).map((item) => item.suspect.photo));
  suspects = (await api.suspects().catch(() => [])).filter(({ photo }) => !added.has(photo));
  await loadThoseOn(answered());
  redraw();
}

export function leave() {
  place = null;
}

const answered = () => items.filter((item) => item.state === "done");

const rank = (item) => item.suspect?.rank ?? Infinity; // of photos whose label is probably wrong
const byGain = (a, b) => rank(a) - rank(b) || a.answer.probability - b.answer.probability;

/** Returns the photos: probable label errors, then the least certain, for they teach most. They stay in their places. */
let order = [];
function reviewOrder() {
  const shown = answered().filter((item) => everything || !isDone(item) || order.includes(item));
  const added = shown.filter((item) => !order.includes(item)).sort(byGain);
  order = [...order.filter((item) => shown.includes(item)), ...added];
  return order;
}

/** Puts the photos of the collection whose label is probably wrong before all others. */
async function addSuspects() {
  const rows = suspects;
  suspects = []; // the button goes
  reading = { done: 0, n: rows.length };
  redraw();
  try {
    for (const [i, { photo, path, label }] of rows.entries()) {
      const suspect = { photo, label, rank: i };
      const there = answered().find((item) => item.answer.photo === photo);
      if (there) there.suspect = suspect;
      else put([{ name: path, file: await api.suspect(photo), suspect }]);
      reading.done = i + 1;
      showReading();
    }
  } catch (error) {
    note(error.message);
  }
  await allAnswered();
  reading = null;
  await loadThoseOn(answered());
  order = [];
  redraw();
  if (place) focus(0);
}

const readingText = () => (reading ? t("review.reading", reading) : "");

function showReading() {
  const line = place?.querySelector(".reading");
  if (line) line.textContent = readingText();
}

function suspectsButton() {
  if (!suspects.length) return null;
  return h("button", { type: "button", onclick: addSuspects }, icon("question"), t("review.suspects", { n: suspects.length }));
}

export function redraw() {
  if (!place) return;
  if (!about.stored || !answered().length) {
    place.replaceChildren(empty());
    return;
  }
  const shown = reviewOrder();
  if (!shown.length) {
    place.replaceChildren(empty());
    return;
  }
  at = Math.min(at, shown.length - 1);
  const list = h("div", { class: "review", role: "listbox", "aria-multiselectable": "true", "aria-label": t("review.list"), onkeydown: key }, shown.map(option));
  place.replaceChildren(head(), list, actions(shown));
  showTarget();
}

function empty() {
  const done = about.stored && answered().length;
  return h(
    "section",
    { class: "empty" },
    h("div", { class: "drop" },
      h("h1", {}, t("part.review")),
      h("p", { class: "lead" }, about.stored ? t(done ? "review.all-done" : "review.none") : t("review.off")),
      h("p", { class: "faint reading", role: "status" }, readingText()),
      about.stored
        ? h("div", { class: "row center" },
            h("a", { class: "button main", href: "#recognise" }, icon("photo"), t("choose")),
            suspectsButton(),
            done ? h("button", { type: "button", onclick: () => ((everything = true), redraw()) }, t("review.again")) : null)
        : h("pre", { tabindex: "0" }, "animal app --feedback data/feedback"),
    ),
  );
}

function head() {
  const done = answered().filter(isDone).length;
  const name = nameField();
  name.classList.add("push");
  return h(
    "div",
    { class: "gallery-head review-head" },
    h("div", { class: "row" },
      h("h1", { class: "small" }, t("review.title")),
      h("span", { class: "faint review-count", role: "status" }, t("review.count", { done, n: answered().length })),
      name),
    h("p", { class: "faint" }, t("review.stored")),
    h("p", { class: "faint reading", role: "status" }, readingText()),
    h("div", { class: "row" },
      suspectsButton(),
      h("details", { class: "keys by-hand" }, h("summary", {}, t("keys")),
        h("dl", { class: "facts" }, KEYS.flatMap(([keys, what]) => [h("dt", {}, keys.map((one) => h("kbd", {}, one))), h("dd", {}, t(what))])))),
  );
}

/** Makes the buttons, which stay in sight at the foot of the window, under the photo that they act on. */
function actions(shown) {
  const button = (text, act, more = {}) => h("button", { type: "button", onclick: act, ...more }, text);
  return h(
    "div",
    { class: "actions", role: "group", "aria-label": t("review.actions") },
    h("p", { class: "target", id: "target" }),
    h("div", { class: "row", "aria-describedby": "target" },
      button(t("review.confirm"), confirm, { class: "main" }),
      shown.some((item) => item.suspect) ? button(t("review.keep"), keep) : null,
      button(t("review.other"), () => pick()),
      button(t("review.no-animal"), () => decide("no_animal")),
      button(t("review.bad"), () => decide("bad_photo")),
      h("div", { class: "row" },
        button(t("review.enlarge"), enlarge, { class: "quiet" }),
        button(t("review.undo"), undo, { class: "quiet", disabled: !undoable.length }),
        button(t("review.select-all"), () => ((chosen = new Set(shown)), mark()), { class: "quiet" }))),
  );
}

/** Shows which photos the buttons act on. */
function showTarget() {
  const some = target();
  const one = some.length === 1 ? some[0] : null;
  const text = one ? t("review.target", { name: one.name.split("/").pop(), answer: title(one) }) : t("review.targets", { n: some.length });
  place.querySelector(".target").replaceChildren(
    ...some.slice(0, 3).map((item) => h("img", { src: `data:image/jpeg;base64,${item.picture}`, alt: "", width: "36", height: "36" })),
    h("span", {}, text));
}

/** Opens the photo with the focus, large; what is decided there holds here. */
function enlarge() {
  const decided = (item, kind) => {
    if (kind !== "withdrawn") undoable.push([item]);
    redraw();
  };
  detail.open(order, order[at], decided, (item) => place && focus(order.indexOf(item)));
}

const KEYS = [
  [["Enter"], "keys.confirm"],
  [["1", "…", "9"], "keys.number"],
  [["A", "…", "Z"], "keys.letter"],
  [["+"], "review.enlarge"],
  [["0"], "review.no-animal"],
  [["−"], "review.bad"],
  [["←", "↑", "→", "↓"], "keys.arrows"],
  [["Shift", "+", "←", "→"], "keys.extend"],
  [["Space"], "keys.space"],
  [["Ctrl", "+", "A"], "review.select-all"],
  [["U"], "review.undo"],
];

function option(item, i) {
  const { answer } = item;
  const top = answer.top.slice(0, 3);
  const summary = isDone(item) ? summarise(item.decisions) : null;
  const labelled = item.suspect ? t("review.labelled", { name: item.suspect.label }) : null;
  const label = [answer.species, percent(answer.probability), labelled, summary, item.name].filter(Boolean).join(", ");
  return h(
    "div",
    {
      class: `card ${summary ? (item.decisions.disputed ? "disputed" : "decided") : ""}`,
      role: "option",
      "aria-selected": String(chosen.has(item)),
      "aria-label": label,
      tabindex: i === at ? "0" : "-1",
      onclick: (event) => click(event, i),
      ondblclick: () => (focus(i), enlarge()),
    },
    h("span", { class: "picture" }, h("img", { src: `data:image/jpeg;base64,${item.picture}`, alt: "", loading: "lazy" }),
      summary ? h("span", { class: `badge ${item.decisions.disputed ? "" : "good"}` }, icon(item.decisions.disputed ? "question" : "check"), summary) : null,
      h("span", { class: "pick", title: t("keys.space"), onclick: (event) => (event.stopPropagation(), pickOne(i)) }, icon("check")),
      h("span", { class: "enlarge", title: t("review.enlarge"), onclick: (event) => (event.stopPropagation(), focus(i), enlarge()) }, icon("enlarge"))),
    answer.unknown ? h("strong", { class: "verdict" }, title(item)) : null,
    labelled ? h("strong", { class: "verdict" }, labelled) : null,
    h("ol", { class: "candidates" }, top.map(({ species, probability }, j) =>
      h("li", { onclick: (event) => (event.stopPropagation(), focus(i), decide("species", j, null, [item])) }, h("kbd", {}, String(j + 1)), h("span", { class: "name" }, species), h("span", { class: "percent" }, percent(probability))))),
  );
}

const cards = () => [...place.querySelectorAll(".review > .card")];

/** Shows which photos are selected, and where the focus is. */
function mark() {
  cards().forEach((card, i) => {
    card.setAttribute("aria-selected", String(chosen.has(order[i])));
    card.tabIndex = i === at ? 0 : -1;
  });
  showTarget();
}

function focus(to) {
  at = Math.max(0, Math.min(order.length - 1, to));
  mark();
  cards()[at]?.focus();
}

function click(event, i) {
  if (event.shiftKey) extend(i);
  else if (event.ctrlKey || event.metaKey) toggle(order[i]);
  else chosen = new Set([order[i]]);
  if (!event.shiftKey) anchor = i;
  focus(i);
}

/** Adds a photo to those that are selected, or takes it away, as Space does. */
function pickOne(i) {
  toggle(order[i]);
  anchor = i;
  focus(i);
}

function toggle(item) {
  if (!chosen.delete(item)) chosen.add(item);
}

function extend(to) {
  const [low, high] = [Math.min(anchor, to), Math.max(anchor, to)];
  chosen = new Set(order.slice(low, high + 1));
}

function columns() {
  const all = cards();
  const next = all.findIndex((card) => card.offsetTop > all[0].offsetTop);
  return next > 0 ? next : all.length;
}

function key(event) {
  const { key: pressed } = event;
  const control = event.ctrlKey || event.metaKey;
  const forward = document.documentElement.dir === "rtl" ? -1 : 1;
  const step = { ArrowLeft: -forward, ArrowRight: forward, ArrowUp: -columns(), ArrowDown: columns() }[pressed];
  const number = Number.parseInt(pressed, 10);
  let act;
  if (step) {
    act = () => {
      const to = Math.max(0, Math.min(order.length - 1, at + step));
      if (event.shiftKey) extend(to);
      else [chosen, anchor] = [new Set(), to];
      focus(to);
    };
  } else if (control && pressed.toLowerCase() === "a") act = () => ((chosen = new Set(order)), mark());
  else if (control && pressed.toLowerCase() === "z") act = undo; // as everywhere else
  else if (control || event.altKey) return;
  else if (pressed === "Home" || pressed === "End") act = () => focus(pressed === "Home" ? 0 : order.length - 1);
  else if (pressed === "Enter") act = confirm;
  else if (pressed === "+") act = enlarge;
  else if (pressed === " ") act = () => (toggle(order[at]), mark());
  else if (pressed === "Escape") act = () => ((chosen = new Set()), mark());
  else if (pressed === "0") act = () => decide("no_animal");
  else if (pressed === "-" || pressed === "Delete") act = () => decide("bad_photo");
  else if (number >= 1 && number <= CHOICES) act = () => decide("species", number - 1);
  else if (pressed.toLowerCase() === "u") act = undo;
  else if (pressed.length === 1 && /\p{L}/u.test(pressed)) act = () => pick(pressed);
  if (!act) return;
  event.preventDefault();
  act();
}

const target = () => (chosen.size ? order.filter((item) => chosen.has(item)) : [order[at]]);

/** Confirms what is answered: a species or no animal; which species an unknown one is has to be chosen. */
async function confirm() {
  const some = target();
  const of = (...kinds) => some.filter((item) => kinds.includes(kind(item)));
  const [nothing, known, unknown] = [of("nothing-there"), of("known", "unsure"), of("unknown")];
  if (nothing.length) await decide("no_animal", 0, null, nothing);
  if (known.length) await decide("species", 0, null, known);
  if (unknown.length) pick("", unknown);
}

/** Decides that the collection's label is right, on photos whose label is suspected. */
async function keep() {
  for (const item of target().filter(({ suspect }) => suspect)) await decide("species", 0, item.suspect.label, [item]);
}

/** Stores a decision on each selected photo: its nth likeliest species, or one label for all. */
async function decide(kind, nth = 0, label = null, some = target()) {
  if (!who()) {
    note(t("review.name-first"));
    place.querySelector(".review-head input").focus();
    return;
  }
  const next = order.findIndex((item, i) => i > at && !isDone(item) && !some.includes(item));
  const stored = [];
  for (const item of some) {
    const species = kind === "species" ? (label ?? item.answer.top[nth]?.species) : null;
    if (kind === "species" && !species) continue;
    try {
      await store(item, kind, species);
      stored.push(item);
    } catch (error) {
      note(error.message);
      break;
    }
  }
  if (kind === "withdrawn") return;
  if (stored.length) undoable.push(stored);
  chosen = new Set();
  at = next < 0 ? at : next;
  anchor = at;
  redraw();
  focus(at);
  if (stored.length) announce(`${stored.length === 1 ? stored[0].name : stored.length}: ${summarise(stored[0].decisions)}`);
}

async function undo() {
  const last = undoable.pop();
  if (!last) return;
  await decide("withdrawn", 0, null, last);
  at = Math.max(0, order.indexOf(last[0]));
  redraw();
  focus(at);
  announce(t("review.undone"));
}

/** Lets a person choose the species of photos; `letter` is typed already. */
function pick(letter = "", some = target()) {
  chooseSpecies(letter, some.length, (name) => decide("species", 0, name, some));
}

addEventListener("model", () => place && redraw());

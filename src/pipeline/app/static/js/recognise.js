// The first part of the page: photos in, names out.

import * as api from "./api.js";
import * as camera from "./camera.js";
import * as decisions from "./decisions.js";
import * as detail from "./detail.js";
import * as local from "./local.js";
import { announce, h, icon, note } from "./dom.js";
import { model, named, refresh as refreshModel } from "./model.js";
import { Queue } from "./upload_queue.js";
import * as sources from "./sources.js";
import { duration, percent, reasonText, t } from "./text.js";

const MOST = 10_000; // photos on the page
const ORDERS = {
  unsure: (a, b) => certainty(a) - certainty(b),
  sure: (a, b) => certainty(b) - certainty(a),
  name: (a, b) => (a.name < b.name ? -1 : 1),
};

export const items = []; // { name, file, state: waiting | done | failed, answer, picture, version, card }
let order = "sure";
let filter = null; // a species, or one of the kinds below
let place; // the part of the page, while it is shown
let drawing = 0;
let opened = false; // whether a photo was opened: then one knows that it can be

/** Returns an answer's kind: known, unsure (several are likely), unknown, nothing-there, failed or waiting. */
export function kind(item) {
  if (item.state !== "done") return item.state;
  if (item.answer.kind === "no_animal") return "nothing-there";
  if (item.answer.unknown) return "unknown";
  return item.answer.prediction_set.length > 1 ? "unsure" : "known";
}

/** Returns an answer in one line. */
export function title(item) {
  const { answer } = item;
  const what = kind(item);
  if (what === "waiting") return t("waiting");
  if (what === "failed") return t("failed");
  if (what === "unknown" || what === "nothing-there") return t(what);
  return answer.species;
}

/** Returns what people say a photo shows, where that is not its answer; null elsewhere. */
export function corrected(item) {
  const verdict = item.decisions?.verdict;
  const answered = kind(item) === "nothing-there" ? "no_animal" : kind(item) === "unknown" ? null : item.answer?.species;
  if (!verdict || verdict === "bad_photo" || verdict === answered) return null;
  const name = decisions.summarise(item.decisions);
  return decisions.who() in item.decisions.by ? `${name} (${t("you")})` : name;
}

const certainty = (item) => (item.state === "done" ? item.answer.probability : item.state === "failed" ? -1 : -2);
const groupOf = (item) => (kind(item) === "known" || kind(item) === "unsure" ? item.answer.species : kind(item));

/** Asks the server about a photo or, without a network, the recogniser on this device. */
async function ask(item, signal) {
  if (!model.local) {
    try {
      return await api.answer(item.file, item.name, signal);
    } catch (error) {
      if (error.status || signal.aborted) throw error;
      const readable = await item.file.slice(0, 1).arrayBuffer().catch(() => null);
      if (!readable) throw new api.Refused(404, t("reason.missing_file")); // removed since it was added
      await refreshModel();
      if (!model.local) throw error;
    }
  }
  return local.answer(item.file, item.name);
}

const queue = new Queue(async (item, signal) => {
  try {
    const response = await ask(item, signal);
    if (signal.aborted) return;
    Object.assign(item, response, { state: response.answer.error ? "failed" : "done" });
  } catch (error) {
    if (signal.aborted) return;
    if (!error.status || error.status === 503) { // nobody answers now: the photos wait
      queue.cancel();
      note(error.message);
      return;
    }
    // 413 and the like: a row without an answer, as `animal predict` writes one
    Object.assign(item, { state: "failed", answer: null, problem: error.message });
  }
  item.card = null;
}, drawSoon);

/** Waits until every photo has its answer. */
export async function allAnswered() {
  while (queue.busy) await new Promise((go) => setTimeout(go, 100));
}

/** Shows the part in an element. */
export function show(main) {
  place = main;
  place.replaceChildren();
  draw();
  decisions.load().then(() => {
    const line = place?.querySelector(".private");
    if (line) line.textContent = privacy();
  });
}

export function leave() {
  place = null;
}

function drawSoon() {
  if (!drawing) drawing = setTimeout(() => ((drawing = 0), draw()), 200);
}

async function add(files) {
  const { photos, archives, others } = sources.sort(files);
  if (others) note(t("others", { n: others }));
  put(photos);
  for (const packed of archives) await unpack(packed);
}

/** Adds photos ({ name, file }) to those on the page, and answers them. */
export function put(photos) {
  const room = MOST - items.length;
  if (photos.length > room) note(t("too-many", { n: MOST }));
  const added = photos.slice(0, room).map((photo) => ({ ...photo, state: "waiting" }));
  if (!added.length) return;
  items.push(...added);
  queue.add(added);
  draw();
}

async function unpack(packed) {
  announce(t("unpacking", { name: packed.name }));
  const folder = packed.name.replace(/\.(zip|tar|tgz)(\.\w+)?$/i, "");
  try {
    for await (const { name, file } of api.unpack(packed)) put([{ name: `${folder}/${name}`, file }]);
  } catch (error) {
    note(t("not-unpacked", { name: packed.name, why: error.message }));
  }
}

function pick(attributes) {
  const input = h("input", { type: "file", multiple: true, ...attributes });
  input.addEventListener("change", () => add(sources.fromList(input.files)));
  input.click();
}

function draw() {
  if (!place) return;
  if (!items.length) {
    const state = model.none_yet ? "untrained" : "ready";
    if (place.querySelector(".empty")?.dataset.state !== state) place.replaceChildren(empty(state)); // else the focus would be lost
    return;
  }
  if (!place.querySelector(".gallery")) place.replaceChildren(head(), h("ul", { class: "gallery", role: "list" }));
  drawProgress();
  drawFilters();
  drawCards();
}

function buttons() {
  return [
    h("button", { class: "main", type: "button", onclick: () => pick({ accept: "image/*,.zip,.tar,.tgz,.heic,.heif,.avif,.tif,.tiff" }) }, icon("photo"), t("choose")),
    h("button", { type: "button", onclick: () => pick({ webkitdirectory: true }) }, icon("folder"), t("choose-folder")),
    navigator.mediaDevices ? h("button", { type: "button", onclick: () => camera.open((photo) => put([photo])) }, icon("camera"), t("take")) : null,
  ];
}

function empty(state) {
  const head = [h("img", { src: "static/icon.svg", alt: "", width: "72", height: "72" }), h("h1", {}, t("recognise.title"))];
  if (state === "untrained") {
    return h("section", { class: "empty", "data-state": state },
      h("div", { class: "drop" }, head,
        h("p", { class: "lead" }, t("recognise.untrained")),
        h("a", { class: "button main", href: "#train" }, t("recognise.train"))));
  }
  return h(
    "section",
    { class: "empty", "data-state": state },
    h("div", { class: "drop" }, head,
      h("p", { class: "lead" }, t("recognise.lead")),
      h("div", { class: "row center" }, buttons()),
      h("p", { class: "faint by-hand" }, t("recognise.drop")),
    ),
    h("p", { class: "faint center private" }, privacy()),
  );
}

const privacy = () => t(decisions.about.stored ? "recognise.private-but" : "recognise.private");

function head() {
  return h(
    "div",
    { class: "gallery-head" },
    h("h1", { class: "unseen" }, t("recognise.title")),
    h("div", { class: "row" },
      buttons(),
      h("span", { class: "push" }),
      h("button", { type: "button", onclick: download }, icon("download"), t("download")),
      h("button", { type: "button", class: "quiet", onclick: clear }, t("clear")),
    ),
    h("div", { class: "progress" }),
    h("div", { class: "row filters" },
      h("div", { class: "chips", role: "group", "aria-label": t("filter") }),
      h("label", { class: "push order" }, h("span", {}, t("order")),
        h("select", { onchange: (event) => ((order = event.target.value), draw()) },
          Object.keys(ORDERS).map((name) => h("option", { value: name, selected: name === order }, t(`order.${name}`))))),
    ),
  );
}

function drawProgress() {
  const there = place.querySelector(".progress");
  const old = items.filter((item) => item.version && model.version && item.version !== model.version && item.state === "done");
  if (queue.busy) {
    const left = queue.secondsLeft;
    const values = { done: queue.done, n: queue.total };
    const text = t("progress", values) + (left === null ? "" : `, ${t("left", { time: duration(left) })}`);
    if (!there.firstChild?.matches?.("progress")) {
      there.replaceChildren(h("progress", { "aria-label": t("progress.label") }), h("span", {}), h("button", { type: "button", class: "link", onclick: () => queue.cancel() }, t("cancel")));
      announce(text);
    }
    Object.assign(there.firstChild, { max: queue.total, value: queue.done });
    there.children[1].textContent = text;
    return;
  }
  if (there.querySelector("progress")) announce(summary());
  const shown = [h("span", {}, summary())];
  if (old.length) {
    shown.push(h("button", { type: "button", class: "link", onclick: () => again(old) }, t("again", { n: old.length, version: named(model.version) })));
  }
  const unread = items.filter((item) => item.state === "waiting");
  if (unread.length) shown.push(h("button", { type: "button", class: "link", onclick: () => again(unread) }, t("go-on", { n: unread.length })));
  if (!opened && unread.length < items.length) shown.push(h("span", {}, t(decisions.about.stored ? "open-to-correct" : "open")));
  if (there.textContent !== shown.map((one) => one.textContent).join("")) there.replaceChildren(...shown);
}

function summary() {
  const count = (what) => items.filter((item) => kind(item) === what).length;
  const parts = [t("named", { n: count("known") + count("unsure") })];
  for (const what of ["unsure", "unknown", "nothing-there", "failed", "waiting"]) {
    if (count(what)) parts.push(t(`count.${what}`, { n: count(what) }));
  }
  return parts.join(" · ");
}

function drawFilters() {
  const counts = new Map();
  for (const item of items) counts.set(groupOf(item), (counts.get(groupOf(item)) ?? 0) + 1);
  if (filter !== null && !counts.has(filter)) filter = null;
  const kinds = ["unknown", "nothing-there", "failed", "waiting"];
  const names = [...counts.keys()].filter((name) => !kinds.includes(name)).sort((a, b) => counts.get(b) - counts.get(a) || (a < b ? -1 : 1));
  const chip = (value, text, count) => {
    const put = () => ((filter = value), draw());
    return h("button", { type: "button", class: "chip", "aria-pressed": String(filter === value), "data-value": value ?? "", onclick: put }, text, h("span", { class: "count" }, String(count)));
  };
  const chips = [chip(null, t("all"), items.length), ...names.map((name) => chip(name, name, counts.get(name)))];
  for (const what of kinds) if (counts.has(what)) chips.push(chip(what, t(what === "nothing-there" ? "review.no-animal" : what), counts.get(what)));
  const group = place.querySelector(".chips");
  const focused = group.contains(document.activeElement) ? document.activeElement.dataset.value : null;
  group.replaceChildren(...chips);
  if (focused !== null) [...group.children].find((one) => one.dataset.value === focused)?.focus();
}

/** Returns the photos that are shown, in their order. */
function visible() {
  return items.filter((item) => filter === null || groupOf(item) === filter).sort(ORDERS[order]);
}

function drawCards() {
  const list = place.querySelector(".gallery");
  const focused = document.activeElement?.closest?.(".gallery li");
  const shown = visible().map((item) => (item.card ??= card(item)));
  const same = shown.length === list.children.length && shown.every((one, i) => list.children[i] === one);
  if (same) return;
  list.replaceChildren(...shown);
  if (focused?.isConnected) focused.firstChild.focus();
}

/** Opens a photo, large, where a person may correct it. */
async function open(item) {
  opened = true;
  const some = visible().filter((one) => one.state !== "waiting");
  await decisions.loadThoseOn(some);
  detail.open(some, item, drawCards, (last) => (draw(), last.card?.firstChild.focus()));
}

function card(item) {
  const what = kind(item);
  const name = title(item);
  const decided = decisions.isDone(item) ? decisions.summarise(item.decisions) : null;
  const other = corrected(item);
  const words = [name];
  if (what === "known" || what === "unsure") words.push(percent(item.answer.probability));
  const badge = { unsure: "question", unknown: "question", failed: "warning" }[what];
  const second = {
    unsure: () => t("or", { names: item.answer.prediction_set.slice(1, 3).join(", ") }),
    unknown: () => item.answer.looks_like
      ? t("looks-like", { name: item.answer.looks_like })
      : t("closest", { name: item.answer.species, share: percent(item.answer.probability) }),
    failed: () => reason(item),
  }[what]?.();
  const picture = item.picture
    ? h("img", { src: `data:image/jpeg;base64,${item.picture}`, alt: "", loading: "lazy" })
    : h("span", { class: "no-picture" }, icon(what === "failed" ? "warning" : "photo"));
  const label = [other, ...(other ? [t("detail.was", { name }), words[1]] : words), badge && what === "unsure" ? t("unsure") : null, second, other ? null : decided, item.name].filter(Boolean).join(", ");
  return h("li", {},
    h("button", { type: "button", class: `card ${what}`, "aria-label": label, disabled: what === "waiting", onclick: () => open(item) },
      h("span", { class: "picture" }, picture,
        decided ? h("span", { class: "badge good" }, icon("check"), decided) : badge && what === "unsure" ? h("span", { class: "badge" }, icon(badge), t("unsure")) : null),
      other ? h("span", { class: "name" }, other) : null,
      h("span", { class: "words" }, other ? h("s", { class: "second" }, name) : h("span", { class: "name" }, name), words[1] ? h("span", { class: "percent" }, words[1]) : null),
      words[1] ? bar(item.answer.probability) : null,
      second ? h("span", { class: "second" }, second) : null,
      h("span", { class: "file" }, item.name.split("/").pop()),
    ));
}

export function bar(probability) {
  const filled = h("span", { class: "filled" });
  filled.style.inlineSize = `${Math.max(2, probability * 100)}%`;
  return h("span", { class: "bar", "aria-hidden": "true" }, filled);
}

/** Returns why a photo has no answer. */
export function reason(item) {
  if (!item.answer) return item.problem;
  return reasonText(item.answer.error.split(":")[0], item.answer.error);
}

function again(some) {
  for (const item of some) Object.assign(item, { state: "waiting", card: null });
  queue.add(some);
  draw();
}

function clear() {
  queue.clear();
  items.length = 0;
  filter = null;
  draw();
  announce(t("cleared"));
  place.querySelector("button")?.focus();
}

async function download() {
  const rows = items.filter((item) => item.answer).map((item) => item.answer);
  try {
    const address = URL.createObjectURL(model.local ? table(rows) : await api.table(rows));
    h("a", { href: address, download: "predictions.csv" }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  } catch (error) {
    note(error.message);
  }
}

/** Writes the table's columns that a browser can fill without the server, as CSV. */
function table(rows) {
  const columns = ["path", "photo", "species", "probability", "unknown", "kind", "prediction_set", "error"];
  const cell = (value) => (/[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  const text = (value) => cell(Array.isArray(value) ? value.join("|") : String(value ?? ""));
  const lines = rows.map((row) => columns.map((name) => text(row[name])).join(","));
  return new Blob([`\ufeff${[columns.join(","), ...lines].join("\n")}\n`], { type: "text/csv" });
}

/** Listens for photos that are dropped anywhere on the page, or pasted. */
export function listen() {
  let depth = 0;
  const hover = (over) => document.body.classList.toggle("dropping", over);
  const withFiles = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragenter", (event) => withFiles(event) && (event.preventDefault(), (depth += 1), hover(true)));
  addEventListener("dragleave", () => (depth = Math.max(0, depth - 1)) || hover(false));
  addEventListener("dragover", (event) => withFiles(event) && event.preventDefault());
  addEventListener("drop", async (event) => {
    if (!withFiles(event)) return;
    event.preventDefault();
    depth = 0;
    hover(false);
    location.hash = "#recognise";
    add(await sources.fromDrop(event.dataTransfer));
  });
  addEventListener("paste", (event) => {
    if (!event.clipboardData?.files.length) return;
    event.preventDefault();
    location.hash = "#recognise";
    add(sources.fromList(event.clipboardData.files));
  });
  addEventListener("model", drawSoon);
}

/** Draws everything again, as after a change of language. */
export function redraw() {
  for (const item of items) item.card = null;
  place?.replaceChildren();
  draw();
}

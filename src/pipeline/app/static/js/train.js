// The third part of the page: learn from a collection, and decide which recogniser serves.

import * as api from "./api.js";
import { announce, dialog, h, icon, note } from "./dom.js";
import { model, refresh as refreshModel } from "./model.js";
import { date, duration, number, points, precise, reasonText, share, t } from "./text.js";

const SECONDS_BETWEEN_REFRESHES = 2;
const SHOWN = 60; // species at once
const NO_ANIMAL = "blank"; // as ingest calls photos without an animal, which are no species
const SHARES = ["accuracy", "worst_recall", "calibration"]; // checks of the gate that are shown in per cent

let place;
let about = { possible: false };
let versions = [];
let summary = null; // what ingest says of the one that is chosen
let timer;

/** Shows the part in an element. */
export async function show(main) {
  place = main;
  place.replaceChildren();
  await refresh(true);
}

export function leave() {
  place = null;
  clearTimeout(timer);
}

export function redraw() {
  if (!place) return;
  place.replaceChildren();
  draw();
}

/** Gets the run's progress, and again every 2 s as long as it goes on. */
async function refresh(first = false) {
  const former = about;
  const before = former.run?.running;
  try {
    about = await api.training();
    const seen = about.possible && (first || ingest(about) !== ingest(former) || (before && !about.run.running));
    if (seen) summary = await api.collection();
    if (about.possible && (first || (before && !about.run.running))) {
      versions = await api.versions();
      if (before) {
        announce(t(about.run.code === 0 ? "train.done" : "train.failed"));
        refreshModel();
      }
    }
  } catch (error) {
    if (error.status === 404) about = { possible: false };
    else note(error.message);
  }
  if (!place) return;
  draw();
  clearTimeout(timer);
  if (about.run?.running) timer = setTimeout(refresh, SECONDS_BETWEEN_REFRESHES * 1000);
}

/** Returns the state of the stage that looks through the collection. */
const ingest = ({ run: last }) => last?.stages.find(({ name }) => name === "ingest")?.state;

const sheet = (title, ...children) => h("section", { class: "sheet" }, h("h2", {}, title), ...children);

function draw() {
  if (!about.possible) {
    place.replaceChildren(h("section", { class: "empty" }, h("div", { class: "drop" }, h("h1", {}, t("part.train")), h("p", { class: "lead" }, t("train.impossible")))));
    return;
  }
  if (!place.querySelector(".train")) {
    place.replaceChildren(
      h("div", { class: "train" },
        h("h1", { class: "unseen" }, t("part.train")),
        h("div", { id: "collection" }), h("div", { id: "run" }), h("div", { id: "versions" }),
        h("section", { class: "sheet" }, h("details", { ontoggle: openParams }, h("summary", {}, h("h2", {}, t("params"))),
          h("p", { class: "doubt", id: "params-wait", hidden: true }, icon("warning"), t("params.wait")), h("div", { id: "params" })))),
    );
  }
  put("collection", collection);
  put("run", run);
  put("versions", served);
  lockParams();
}

/** Lets nobody change settings while a run reads them. */
function lockParams() {
  if (!place) return;
  const running = about.run?.running ?? false;
  place.querySelector("#params-wait").hidden = !running;
  for (const field of place.querySelectorAll("#params input")) field.readOnly = running || "inFile" in field.dataset;
}

/** Replaces a part only if it changed: else the focus would be lost. */
function put(id, make) {
  const there = place.querySelector(`#${id}`);
  const made = make();
  if (made && there.firstElementChild && made.outerHTML === there.firstElementChild.outerHTML) return;
  const focused = there.contains(document.activeElement) ? document.activeElement.textContent : null;
  there.replaceChildren(...(made ? [made] : []));
  if (focused) [...there.querySelectorAll("button")].find((one) => one.textContent === focused)?.focus();
}

const report = (page, text) => h("a", { class: "button", href: `reports/${page}`, target: "_blank", rel: "noopener" }, text);

function collection() {
  const running = about.run?.running ?? false;
  return sheet(
    t("train.collection"),
    about.problem ? h("p", { class: "problem" }, about.problem) : h("p", { class: "path" }, about.source),
    h("div", { class: "row" },
      h("button", { type: "button", disabled: running, onclick: browse }, icon("folder"), t("train.choose")),
      h("button", { type: "button", disabled: running, onclick: () => start({ target: "ingest" }) }, t("train.inspect")),
      about.reports.includes("ingest/index.html") ? report("ingest/index.html", t("train.card")) : null),
    h("p", { class: "faint" }, t("train.collection-hint")),
    summary ? summarised() : null,
  );
}

/** Shows what ingest says of the collection: the form, the species, what it refused and why. */
function summarised() {
  const { form, tables, species, refused, unused } = summary;
  const accepted = species.reduce((sum, [, count]) => sum + count, 0);
  const left = refused.reduce((sum, { files }) => sum + files, 0);
  const few = species.filter(([, count]) => count < summary.least);
  const chips = (some) => h("ul", { class: "chips" }, some.map(([name, count]) =>
    h("li", { class: `chip still ${count < summary.least ? "few" : ""}` }, name, h("span", { class: "count" }, number(count)))));
  const why = ({ reason, files, example }) =>
    h("li", {}, h("span", { class: "count" }, number(files)), h("span", {}, reasonText(reason, reason.replaceAll("_", " ")), h("span", { class: "faint example" }, example)));
  return h("div", { class: "collection-summary" },
    h("h3", {}, t("collection.title", { photos: number(accepted), n: accepted, species: number(species.length) })),
    h("p", { class: "faint" }, t(`collection.${form}`, { tables: tables.join(", ") })),
    chips(species.slice(0, SHOWN)),
    species.length > SHOWN ? h("details", { class: "keys" }, h("summary", {}, t("collection.more", { n: species.length - SHOWN })), chips(species.slice(SHOWN))) : null,
    few.length ? h("p", { class: "doubt" }, icon("warning"), t("collection.few", { n: few.length, names: few.slice(0, 5).map(([name]) => name).join(", "), least: summary.least })) : null,
    refused.length
      ? [h("h4", {}, t("collection.refused", { n: left })), h("ul", { class: "refused" }, refused.map(why))]
      : h("p", { class: "faint" }, t("collection.nothing-refused")),
    unused.map(({ file, why: reason }) => h("p", { class: "faint" }, t("collection.unused", { file, why: reason }))));
}

/** Shows the progress of the last run under what it is: a check of the photos is no training. */
function run() {
  const { run: last } = about;
  if (!last) return sheet(t("train.run"), h("p", { class: "faint" }, t("train.hint")), before(), trainButtons());
  const checked = last.target === "ingest";
  const progress = [...outcome(last), last.running ? stopButton() : checked ? null : [before(), trainButtons()], wrote(last)];
  if (!checked) return sheet(t("train.run"), ...progress);
  return h("div", { class: "train" },
    sheet(t("train.check"), ...progress),
    last.running ? null : sheet(t("train.run"), h("p", { class: "faint" }, t("train.hint")), before(), trainButtons()));
}

const stopButton = () => h("div", { class: "row" }, h("button", { type: "button", onclick: () => api.stopTraining().then(() => refresh()) }, t("cancel")));

const trainButtons = () => h("div", { class: "row" },
  h("button", { type: "button", class: "main", onclick: () => start({}) }, t("part.train")),
  about.reports.includes("index.html") ? report("index.html", t("train.report")) : null);

/** Says what a person should know before training: other species than now, and corrections. */
function before() {
  if (!summary) return [];
  const here = summary.species.map(([name]) => name).filter((name) => name !== NO_ANIMAL);
  const both = here.filter((name) => model.species.includes(name)).length;
  const same = both === here.length && both === model.species.length;
  const values = { served: model.species.length, here: here.length, both };
  return [
    model.version && !same ? h("p", { class: "doubt" }, icon("warning"), t("train.other-species", values)) : null,
    summary.corrections ? h("p", { class: "faint" }, t("train.corrections", { n: summary.corrections })) : null,
  ];
}

function outcome({ running, code, left, problem, stages }) {
  const text = running
    ? left === null ? t("train.running") : t("left", { time: duration(left) })
    : t(code === 0 ? "train.done" : "train.failed");
  const stage = ({ name, state, seconds }) =>
    h("li", { class: state, "aria-current": state === "running" ? "step" : null },
      h("span", { class: "mark" }, { done: icon("check"), unchanged: icon("check"), failed: icon("warning") }[state] ?? null),
      h("span", { class: "name" }, t(`stage.${name}`)),
      h("span", { class: "faint" }, state === "done" && seconds ? duration(seconds) : t(`state.${state}`)));
  return [
    h("p", { class: running || code === 0 ? "faint" : "problem" }, text),
    problem ? h("p", { class: "problem" }, problem) : null,
    h("ol", { class: "stages" }, stages.map(stage)),
  ];
}

/** Shows the run's last line or, once it has ended, all lines, folded. */
function wrote({ running, log }) {
  if (running) return h("p", { class: "faint line" }, log.at(-1) ?? "");
  return h("details", { class: "keys" }, h("summary", {}, t("train.log")), h("pre", { tabindex: "0", class: "log" }, log.join("\n")));
}

async function start(what) {
  try {
    await api.startTraining(what);
  } catch (error) {
    note(error.message);
  }
  await refresh();
}

/** Opens a dialog with the folders of this machine. */
async function browse() {
  const list = h("div", { class: "options" });
  const path = h("p", { class: "path", role: "status" });
  const use = h("button", { type: "button", class: "main" }, t("train.use"));
  const where = h("p", { class: "faint" });
  const hint = h("p", { class: "faint", id: "folders-hint", role: "status" });
  use.setAttribute("aria-describedby", hint.id);
  const typed = h("input", { type: "text", id: "folder-path", maxlength: "4000", autocomplete: "off", spellcheck: "false", "aria-describedby": hint.id });
  const send = (event) => {
    event.preventDefault();
    if (typed.value.trim()) go(typed.value.trim());
  };
  const shown = dialog(t("train.choose"), where, path, list, hint,
    h("form", { onsubmit: send }, h("label", { for: typed.id, class: "faint" }, t("folders.path")), typed, h("button", { type: "submit" }, t("folders.open"))),
    h("div", { class: "row foot" }, use));
  const take = (chosen) => {
    shown.close();
    start({ source: chosen, target: "ingest" });
  };
  const go = async (to) => {
    let listed;
    try {
      listed = await api.folders(to);
    } catch (error) {
      hint.textContent = error.message;
      return;
    }
    const inside = (name) => (listed.path ? `${listed.path}/${name}` : name);
    path.textContent = [listed.root, listed.path].filter(Boolean).join("/");
    use.onclick = () => take(listed.path);
    use.disabled = !listed.path;
    where.textContent = t("folders.where", { root: listed.root });
    const hints = [
      listed.folders.length ? null : t("folders.none"),
      listed.others ? t("train.others", { n: listed.others }) : null,
      listed.path ? null : t("folders.open-one", { root: listed.root }),
    ];
    hint.replaceChildren(...hints.filter(Boolean).map((text) => h("span", {}, text)));
    typed.value = listed.path;
    const entry = (name, act, text) => h("button", { type: "button", class: "quiet entry", onclick: act }, icon(name), text);
    list.replaceChildren(
      ...(listed.path ? [entry("back", () => go(listed.path.split("/").slice(0, -1).join("/")), t("train.up"))] : []),
      ...listed.folders.map((name) => entry("folder", () => go(inside(name)), name)),
      ...listed.files.map((name) => entry("photo", () => take(inside(name)), name)),
    );
    (list.querySelector("button") ?? typed).focus();
  };
  await go("");
}

/** Words a check that failed; the gate's own sentence, which is English, where it is about no numbers. */
function because(check) {
  const { name, measured, limit, values, reason } = check;
  if (!values) return reason;
  const shown = (value) => precise(value, SHARES.includes(name) ? "percent" : "decimal");
  return t(`gate.${name}`, { ...values, measured: shown(measured), limit: shown(limit) });
}

function compared({ champion, photos, accuracy, champion_accuracy: other, low, high }) {
  const values = { version: champion, n: photos, share: share(accuracy), other: share(other), low: points(low), high: points(high) };
  return h("p", {}, t("versions.compared", values));
}

function served() {
  if (!versions.length) return null;
  const entry = ({ version, serves, made, accuracy, photos, judged, checks, comparison }) => {
    const failed = checks.filter((check) => !check.passed);
    const verdict = failed.length
      ? h("ul", { class: "problem" }, failed.map((check) => h("li", {}, because(check))))
      : h("p", { class: "faint" }, t(judged ? "gate.passed" : "gate.none"));
    const facts = [date(made, true), accuracy === null ? null : t("versions.right", { share: share(accuracy), n: Number(photos) })];
    return h("li", { class: serves ? "serves" : "" },
      h("div", { class: "row" }, h("h3", {}, t("model.version", { version })), serves ? h("span", { class: "badge good" }, icon("check"), t("serves")) : null),
      h("p", {}, facts.filter(Boolean).join(" · ")),
      comparison ? compared(comparison) : null,
      verdict,
      serves ? null : h("button", { type: "button", "aria-label": `${t("promote")}: ${t("model.version", { version })}`, onclick: () => promote(version, failed.length || !judged) }, t("promote")));
  };
  return sheet(
    t("versions"),
    h("p", { class: "faint" }, t("versions.hint")),
    h("ul", { class: "versions", role: "list" }, versions.map(entry)),
    versions.length > 1 ? h("div", { class: "row" }, h("button", { type: "button", onclick: () => move(() => api.rollback()) }, t("rollback"))) : null,
  );
}

function promote(version, needsReason) {
  const field = h("input", { type: "text", id: "why", maxlength: "500", required: Boolean(needsReason) });
  const send = (event) => {
    event.preventDefault();
    shown.close();
    move(() => api.promote(version, field.value.trim()));
  };
  const shown = dialog(t("promote.title", { version }),
    h("form", { onsubmit: send }, h("label", { for: "why", class: "faint" }, t(needsReason ? "promote.why-needed" : "promote.why")), field, h("button", { type: "submit", class: "main" }, t("promote"))));
  field.focus();
}

async function move(act) {
  try {
    await act();
    versions = await api.versions();
  } catch (error) {
    note(error.message);
  }
  draw();
  refreshModel();
}

async function openParams(event) {
  const there = event.target.querySelector("#params");
  if (!event.target.open || there.firstChild) return;
  let section = "";
  for (const line of await api.params()) {
    const [part, key] = line.name.split(".");
    if (part !== section) {
      section = part;
      there.append(h("h3", {}, part));
    }
    there.append(param(line, key));
  }
  lockParams();
}

function param(line, key) {
  const id = `param-${line.name}`;
  const problem = h("p", { class: "problem", role: "alert", id: `${id}-problem` });
  const field = h("input", { type: "text", id, value: line.value, "data-in-file": !line.editable, "aria-describedby": `${id}-help ${id}-problem`, spellcheck: "false" });
  field.addEventListener("change", async () => {
    try {
      await api.changeParam(line.name, field.value);
      line.value = field.value;
      problem.textContent = "";
      announce(t("params.saved", { name: line.name }));
    } catch (error) {
      problem.textContent = error.message;
    }
    field.setAttribute("aria-invalid", String(Boolean(problem.textContent)));
  });
  return h("div", { class: "param" },
    h("label", { for: id }, key), field,
    h("p", { class: "faint", id: `${id}-help` }, line.editable ? line.help : `${line.help} ${t("params.in-file")}`), problem);
}

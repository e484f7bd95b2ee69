// Shows which recogniser answers, at the top of every part.

import * as api from "./api.js";
import { dialog, h, note } from "./dom.js";
import * as local from "./local.js";
import { render } from "./markdown.js";
import * as offline from "./offline.js";
import * as signin from "./signin.js";
import { date, number, share, t, tenths } from "./text.js";

const SECONDS_BETWEEN_REFRESHES = 20;

/** The server's latest description of its recogniser; `version` is null as long as there is none. */
export let model = { version: null, species: [], test: {} };

/** Asks the server which recogniser answers now, and shows it. */
export async function refresh() {
  const before = model;
  try {
    model = await api.model();
  } catch (error) {
    if (error.status !== 401) model = await withoutServer();
  }
  if (model.field) offline.store(model.version);
  if (!model.local && model.version) {
    const sent = await offline.send();
    if (sent) note(t("sent", { n: sent }));
  }
  show();
  if (before.version && model.version && before.version !== model.version) note(t("model.new", { version: named(model.version) }));
  if (before.version !== model.version || before.none_yet !== model.none_yet) dispatchEvent(new Event("model"));
}

/** Describes the recogniser on this device, where there is one. */
async function withoutServer() {
  try {
    return await local.describe();
  } catch {
    return { version: null, problem: t("model.away"), species: [], test: {} };
  }
}

/** Refreshes every 20 s, and every 2 s while there is no recogniser. */
export async function follow() {
  for (;;) {
    if (!document.hidden && !signin.isShown()) await refresh();
    await new Promise((go) => setTimeout(go, (model.version ? SECONDS_BETWEEN_REFRESHES : 2) * 1000));
  }
}

/** Returns a version's name: its number or, of a folder, its last part. */
export const named = (version) =>
  /^\d+$/.test(version) ? t("model.version", { version }) : version.split("/").filter(Boolean).pop();

export function show() {
  if (signin.isShown()) return put(); // what answers is told to those who are let in
  if (!model.version) {
    const text = model.none_yet ? t("model.none-yet") : (model.problem ?? t("model.loading"));
    put(h("span", { class: `dot ${model.problem ? "off" : "wait"}` }), h("p", {}, text));
    return;
  }
  const facts = [h("strong", {}, named(model.version))];
  if (model.made) facts.push(date(model.made));
  if (model.test.photos) {
    const [low, high] = model.test.interval;
    const values = { share: share(model.test.accuracy), n: model.test.photos, low: share(low), high: share(high) };
    facts.push(t("model.right", values));
  }
  if (model.local) facts.push(t("model.local"));
  facts.push(t("model.species", { n: model.species.length }));
  const more = h("button", { class: "link", type: "button", onclick: about }, t("model.about"));
  put(
    h("span", { class: "dot on" }),
    h("p", {}, facts.flatMap((fact, i) => (i ? [h("span", { class: "between", "aria-hidden": "true" }, " · "), fact] : [fact])), " ", more),
  );
}

/** Replaces the elements only if they changed: else the focus would be lost. */
function put(...made) {
  const place = document.getElementById("model");
  const text = (some) => [...some].map((one) => one.outerHTML).join("");
  if (text(made) !== text(place.children)) place.replaceChildren(...made);
}

function about() {
  const { test } = model;
  const worst = test.weakest;
  const rows = [
    [t("model.accuracy"), test.photos && tenths(test.accuracy)],
    [t("model.between"), test.photos && test.interval.map(tenths).join(" – ")],
    [t("model.top3"), test.top3 !== undefined && tenths(test.top3)],
    [t("model.weakest", { name: worst?.species }), worst && t("model.weakest-found", { share: share(worst.recall), n: worst.support })],
    [t("model.off"), test.calibration_error !== undefined && tenths(test.calibration_error)],
    [t("model.photos"), test.photos && number(test.photos)],
  ].filter(([, value]) => value);
  dialog(
    t("model.name", { version: named(model.version) }),
    h("h3", {}, t("model.knows", { n: model.species.length })),
    h("ul", { class: "chips" }, model.species.map((name) => h("li", { class: "chip still" }, name))),
    h("h3", {}, t("model.tested")),
    rows.length
      ? h("dl", { class: "facts" }, rows.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]))
      : h("p", {}, t("model.untested")),
    model.card ? h("details", { class: "card-text" }, h("summary", {}, t("model.card")), render(model.card)) : null,
  );
}

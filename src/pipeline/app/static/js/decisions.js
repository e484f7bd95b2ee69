// A person's decisions on photos: made in Review and in the dialog of one photo, stored at once.

import * as api from "./api.js";
import { dialog, h } from "./dom.js";
import { model } from "./model.js";
import * as offline from "./offline.js";
import { t } from "./text.js";

const NAME_KEY = "animal.name";
const FEEDBACK_KEY = "animal.feedback";

/** Whether decisions are stored, who runs the app, and the species that people named. */
export let about = { stored: false };

/** Gets it from the server; without a network the last response holds. */
export async function load() {
  try {
    about = await api.feedback();
    localStorage.setItem(FEEDBACK_KEY, JSON.stringify(about));
  } catch (error) {
    // A server that is no app of ours (a static folder) stores nothing.
    about = error.status ? { stored: false } : JSON.parse(localStorage.getItem(FEEDBACK_KEY) ?? '{ "stored": false }');
  }
}

/** Gets the decisions made before on these photos, on another day or another machine. */
export async function loadThoseOn(items) {
  const unknown = items.filter((item) => item.state === "done" && item.decisions === undefined);
  if (!about.stored || !unknown.length) return;
  const decisions = await api.decisionsOf(unknown.map((item) => item.answer.photo)).catch(() => ({}));
  for (const item of unknown) item.decisions = decisions[item.answer.photo] ?? null;
}

export const isDone = (item) => Boolean(item.decisions && Object.keys(item.decisions.by).length);

/** Returns the name that a person typed, else that of the user who runs the app. */
export const who = () => localStorage.getItem(NAME_KEY) || (about.who ?? "");

/** Makes the field for the name that is kept with each decision. */
export function nameField() {
  const field = h("input", { type: "text", value: localStorage.getItem(NAME_KEY) ?? "", placeholder: about.who ? t("review.who") : null, maxlength: "60", autocomplete: "name", onchange: () => localStorage.setItem(NAME_KEY, field.value.trim()) });
  return h("label", { class: "order" }, h("span", {}, t("review.name")), field);
}

/** Summarises the decisions on a photo in a few words. */
export function summarise(decisions) {
  const name = (what) => (what === "no_animal" ? t("review.no-animal") : what === "bad_photo" ? t("review.bad") : what);
  if (decisions.disputed) return Object.entries(decisions.by).map(([person, what]) => `${person}: ${name(what)}`).join(", ");
  return name(decisions.verdict);
}

/** Stores a decision of a kind (species, no_animal, bad_photo, withdrawn) on a photo. */
export async function store(item, kind, species = null) {
  const { answer } = item;
  const person = who();
  const answered = { version: item.version, answered: answer.species, probability: answer.probability };
  // What was said here before a name was typed is the same person's: it is taken back.
  if (item.unnamed && item.unnamed !== person) item.decisions = await save(item, { kind: "withdrawn", who: item.unnamed, ...answered });
  item.decisions = await save(item, { kind, who: person, label: species, ...answered });
  item.unnamed = localStorage.getItem(NAME_KEY) ? null : person;
  item.card = null; // the gallery's card shows it
  if (species && !about.species.includes(species)) about.species.push(species);
}

/** Stores a decision on the server or, without a network, on this device until there is one. */
async function save(item, decision) {
  try {
    return await api.saveDecision(item.file, decision);
  } catch (error) {
    if (error.status) throw error;
  }
  await offline.queue(item.file, decision);
  const what = decision.kind === "species" ? decision.label : decision.kind;
  const by = { ...item.decisions?.by, [decision.who]: what };
  if (decision.kind === "withdrawn") delete by[decision.who];
  const all = [...new Set(Object.values(by))];
  return { by, disputed: all.length > 1, verdict: all.length === 1 ? all[0] : null };
}

/** Opens a dialog to choose any species or type a new one for `n` photos; `letter` is typed already. */
export function chooseSpecies(letter, n, take) {
  const known = [...new Set([...model.species, ...about.species])].sort((a, b) => a.localeCompare(b));
  const field = h("input", { type: "text", id: "species", maxlength: "100", autocomplete: "off", value: letter, role: "combobox", "aria-expanded": "true", "aria-controls": "species-list", "aria-autocomplete": "list" });
  const list = h("div", { id: "species-list", role: "listbox", "aria-label": t("review.species"), class: "options" });
  let first = -1; // nothing is chosen until something is typed: Enter alone must not decide
  const matches = () => {
    const typed = field.value.trim().toLocaleLowerCase();
    const begins = known.filter((name) => name.toLocaleLowerCase().startsWith(typed));
    return [...begins, ...known.filter((name) => !begins.includes(name) && name.toLocaleLowerCase().includes(typed))];
  };
  const draw = () => {
    const names = matches();
    const typed = field.value.trim();
    first = Math.max(typed ? 0 : -1, Math.min(first, names.length - 1));
    const options = names.map((name, i) => h("div", { role: "option", id: `option-${i}`, "aria-selected": String(i === first), onclick: () => close(name) }, name));
    if (typed && !known.includes(typed)) {
      const isFirst = !names.length;
      options.push(h("div", { role: "option", id: `option-${names.length}`, class: "new", "aria-selected": String(isFirst), onclick: () => close(typed) }, t("review.new", { name: typed })));
    }
    list.replaceChildren(...options);
    field.setAttribute("aria-activedescendant", first >= 0 ? `option-${first}` : "");
    list.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
  };
  const close = (name) => {
    shown.close();
    take(name);
  };
  field.addEventListener("input", () => ((first = -1), draw()));
  field.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      first += step;
      draw();
    } else if (event.key === "Enter") {
      event.preventDefault();
      const typed = field.value.trim();
      const name = event.shiftKey ? typed : (matches()[first] ?? typed);
      if (name) close(name);
    }
  });
  const shown = dialog(t("review.which", { n }), h("label", { for: "species", class: "faint" }, t("review.type")), field, list);
  draw();
  field.focus();
  field.setSelectionRange(letter.length, letter.length);
}

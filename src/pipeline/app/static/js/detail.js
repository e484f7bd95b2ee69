// Shows one photo, large: its candidates, where the recogniser looked, and what a person says it is.

import * as api from "./api.js";
import { about, chooseSpecies, isDone, nameField, store, summarise, who } from "./decisions.js";
import { dialog, h, icon, note } from "./dom.js";
import { model, named } from "./model.js";
import { bar, corrected, kind, reason, title } from "./recognise.js";
import { date, percent, t } from "./text.js";

const CANDIDATES = 5;

/**
 * Opens a dialog with one of several photos; the arrow keys lead to the others.
 * @param decided (item, kind) => void, after a decision on a photo
 * @param left (item) => void, with the photo that was shown last, when the dialog is closed
 */
export function open(items, item, decided, left) {
  const body = h("div", { class: "detail" });
  const shown = dialog(t("detail"), body);
  shown.classList.add("wide");
  let address;
  const name = () => (shown.querySelector("h2").textContent = corrected(item) ?? title(item));
  const put = (next) => {
    item = next;
    URL.revokeObjectURL(address);
    address = URL.createObjectURL(item.file);
    name();
    body.replaceChildren(picture(item, address), words(item, decide), steps(items, item, put));
  };
  const decide = async (kind, species = null) => {
    if (!who()) {
      note(t("review.name-first"));
      body.querySelector("input").focus();
      return;
    }
    const on = item;
    try {
      await store(on, kind, species);
    } catch (error) {
      note(error.message);
      return;
    }
    decided(on, kind);
    if (on !== item) return;
    name();
    body.querySelector(".answers").replaceWith(words(item, decide));
    body.querySelector(".decision-made")?.focus();
  };
  put(item);
  shown.addEventListener("close", () => (URL.revokeObjectURL(address), left(item)));
  shown.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || event.target.matches("input")) return;
    const next = items[items.indexOf(item) + (document.documentElement.dir === "rtl" ? -step : step)];
    if (next) put(next);
  });
}

function picture(item, address) {
  // The whole photo; under the heat map the part of it that the recogniser saw.
  const fit = { crop: "cover", pad: "contain", stretch: "fill" }[model.fit] ?? "cover";
  const photo = h("img", { src: address, alt: t("photo-of", { name: item.name }), class: "photo contain" });
  // A format that the browser does not know is shown as the recogniser saw it.
  photo.addEventListener("error", () => {
    if (item.picture) photo.src = `data:image/jpeg;base64,${item.picture}`;
    else photo.replaceWith(h("span", { class: "no-picture" }, icon("warning")));
  }, { once: true });
  const frame = h("div", { class: "frame" }, photo);
  if (item.state !== "done" || model.local) return h("div", {}, frame);
  const button = h("button", { type: "button", "aria-pressed": "false" }, icon("heat"), t("heat"));
  const hint = h("p", { class: "faint", role: "status" });
  button.addEventListener("click", async () => {
    const there = frame.querySelector(".heat");
    if (there) {
      there.hidden = !there.hidden;
    } else {
      button.disabled = true;
      hint.textContent = t("heat.wait");
      try {
        item.heat ??= (await api.heat(item.file)).heat;
        frame.append(h("img", { class: "heat", src: `data:image/png;base64,${item.heat}`, alt: "" }));
      } catch (error) {
        hint.textContent = error.message;
        button.disabled = false;
        return;
      }
      button.disabled = false;
    }
    const on = !frame.querySelector(".heat").hidden;
    photo.className = `photo ${on ? fit : "contain"}`;
    button.setAttribute("aria-pressed", String(on));
    hint.textContent = on ? t("heat.hint", { name: item.answer.species }) : "";
    button.focus();
  });
  return h("div", {}, frame, h("div", { class: "row" }, button, hint));
}

function words(item, decide) {
  const facts = [[t("file"), item.name]];
  if (item.answer?.taken_at) facts.push([t("taken"), date(item.answer.taken_at, true)]);
  if (item.answer?.latitude) facts.push([t("where"), `${item.answer.latitude.toFixed(4)}, ${item.answer.longitude.toFixed(4)}`]);
  if (item.version && item.state === "done") facts.push([t("answered-by"), named(item.version)]);
  const list = h("dl", { class: "facts" }, facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
  const what = kind(item);
  if (what === "failed") return h("div", { class: "answers" }, h("p", {}, reason(item)), list);
  const { answer } = item;
  const sentence = {
    known: () => t("answer.known", { name: answer.species, share: percent(answer.probability) }),
    unsure: () => t("answer.unsure", { names: answer.prediction_set.slice(0, 4).join(", ") }),
    unknown: () => t("answer.unknown"),
    "nothing-there": () => t("answer.nothing-there"),
  }[what]();
  const none = what === "unknown" || what === "nothing-there";
  const species = answer.top.slice(0, CANDIDATES);
  // A species that a person chose is lit too where it is no candidate.
  const mine = item.decisions?.by[who()];
  if (mine && mine !== "no_animal" && mine !== "bad_photo" && !species.some((one) => one.species === mine)) {
    species.push(answer.top.find((one) => one.species === mine) ?? { species: mine, probability: null });
  }
  const candidate = ({ species: name, probability }) => {
    const parts = [h("span", { class: "name" }, name), probability === null ? null : [h("span", { class: "percent" }, percent(probability)), bar(probability)]];
    const pressed = String(mine === name);
    return h("li", {}, about.stored ? h("button", { type: "button", class: "candidate", "aria-pressed": pressed, onclick: () => decide("species", name) }, parts) : h("div", { class: "candidate" }, parts));
  };
  return h(
    "div",
    { class: "answers" },
    what === "unknown" && answer.looks_like ? h("p", { class: "looks-like" }, t("looks-like", { name: answer.looks_like })) : null,
    h("p", { class: "answer" }, sentence),
    about.stored ? h("p", { class: "faint" }, t("detail.which")) : null,
    none ? h("p", { class: "if" }, t("answer.if")) : null,
    h("ol", { class: none ? "top if" : "top" }, species.map(candidate)),
    about.stored ? decision(item, decide) : null,
    answer.cut_short ? h("p", { class: "faint" }, t("reason.cut_short")) : null,
    list,
  );
}

/** Makes the buttons with which a person decides what else a photo shows, under the decision before. */
function decision(item, decide) {
  const button = (text, act, more = {}) => h("button", { type: "button", onclick: act, ...more }, text);
  const made = isDone(item)
    ? h("p", { class: "decision-made", tabindex: "-1" }, icon("check"), t("detail.stored", { name: summarise(item.decisions) }), button(t("review.undo"), () => decide("withdrawn"), { class: "link" }))
    : null;
  return h("div", { class: "decision" },
    h("div", { class: "row" },
      button(t("review.other"), () => chooseSpecies("", 1, (name) => decide("species", name))),
      button(t("review.no-animal"), () => decide("no_animal")),
      button(t("review.bad"), () => decide("bad_photo"))),
    made, nameField());
}

function steps(items, item, put) {
  const at = items.indexOf(item);
  const step = (to, name, label) =>
    h("button", { type: "button", class: "quiet", disabled: !items[to], onclick: () => put(items[to]) }, name === "back" ? icon(name) : null, label, name === "forward" ? icon(name) : null);
  return h("div", { class: "row steps" }, step(at - 1, "back", t("previous")), h("span", { class: "faint" }, t("of", { i: at + 1, n: items.length })), step(at + 1, "forward", t("next")));
}

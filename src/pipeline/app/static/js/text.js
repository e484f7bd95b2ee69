// Loads the page's texts: one file a language in text/, the same keys in each.

export const LANGUAGES = { en: "English", es: "Español", fr: "Français", de: "Deutsch", pt: "Português", sw: "Kiswahili" };
const RIGHT_TO_LEFT = ["ar", "fa", "he", "ur"];
const LANGUAGE_KEY = "animal.language";

let words = {};
export let language = "en";

/** Loads a language: the one that was chosen, else the browser's, else English. */
export async function load(chosen = localStorage.getItem(LANGUAGE_KEY)) {
  const wanted = [chosen, ...navigator.languages.map((tag) => tag.split("-")[0])];
  language = wanted.find((tag) => tag in LANGUAGES) ?? "en";
  const response = await fetch(new URL(`../text/${language}.json`, import.meta.url));
  words = await response.json();
  document.documentElement.lang = language;
  document.documentElement.dir = RIGHT_TO_LEFT.includes(language) ? "rtl" : "ltr";
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = t(element.dataset.text);
  for (const element of document.querySelectorAll("[data-label]")) element.setAttribute("aria-label", t(element.dataset.label));
}

export async function choose(tag) {
  localStorage.setItem(LANGUAGE_KEY, tag);
  await load(tag);
}

/** Returns the text of a key, with {names} filled in; `n` chooses between one and other. */
export function t(key, values = {}) {
  let text = words[key] ?? key;
  if (typeof text === "object") text = text[new Intl.PluralRules(language).select(values.n)] ?? text.other;
  return text.replace(/\{(\w+)\}/g, (_, name) => (typeof values[name] === "number" ? number(values[name]) : values[name]));
}

/** Returns why a file was refused, in the page's language where there is a text for the code. */
export const reasonText = (code, other) => words[`reason.${code}`] ?? other;

/** Returns the language as the browser's settings name it: dates differ between countries. */
const locale = () => navigator.languages.find((tag) => tag.split("-")[0] === language) ?? language;

export const number = (value) => new Intl.NumberFormat(locale()).format(value);

/** Formats a probability for people: never 100 % and never 0 %. */
export function percent(value) {
  const shown = Math.min(Math.max(value, 0.01), 0.99);
  const text = new Intl.NumberFormat(locale(), { style: "percent", maximumFractionDigits: 0 }).format(shown);
  return value > 0.995 ? `>${text}` : value < 0.005 ? `<${text}` : text;
}

/** Formats a share; one that is nearly all does not become 100 %. */
export const share = (value) =>
  new Intl.NumberFormat(locale(), { style: "percent", maximumFractionDigits: value > 0.995 ? 2 : 0 }).format(value);

/** Formats one of several shares that stand together, all to a tenth of a per cent; none becomes 100 %. */
export const tenths = (value) =>
  new Intl.NumberFormat(locale(), { style: "percent", maximumFractionDigits: 1 }).format(value < 1 ? Math.min(value, 0.999) : value);

/** Formats a number or share so exactly that it can be told from its limit. */
export const precise = (value, style) => new Intl.NumberFormat(locale(), { style, maximumSignificantDigits: 4 }).format(value);

/** Formats a difference of two shares, in percentage points. */
export const points = (value) => new Intl.NumberFormat(locale(), { signDisplay: "exceptZero", maximumFractionDigits: 1 }).format(100 * value);

export const date = (iso, time = false) =>
  new Intl.DateTimeFormat(locale(), { dateStyle: "medium", ...(time && { timeStyle: "short" }) }).format(new Date(iso));

export function duration(seconds) {
  if (seconds < 90) return t("seconds", { n: Math.max(1, Math.round(seconds)) });
  return t("minutes", { n: Math.round(seconds / 60) });
}

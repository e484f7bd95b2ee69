// Asks for the token, where the app wants one.

import * as api from "./api.js";
import { h } from "./dom.js";
import { t } from "./text.js";

/** Whether the form is on the page. */
export const isShown = () => document.getElementById("token") !== null;

/** Shows the form in an element; `entered` is called when the token was right. */
export function show(main, entered) {
  if (isShown()) return; // what was typed into it would be lost
  const field = h("input", { type: "password", id: "token", autocomplete: "current-password", required: true, "aria-describedby": "token-problem" });
  const problem = h("p", { id: "token-problem", role: "alert", class: "problem" });
  const send = async (event) => {
    event.preventDefault();
    const answer = await api.signIn(field.value.trim());
    if (answer.ok) return entered();
    problem.textContent = answer.status === 429 ? t("sign-in.wait") : t("sign-in.wrong");
    field.select();
  };
  main.replaceChildren(
    h("form", { class: "sheet narrow", onsubmit: send }, h("h1", {}, t("sign-in")), h("p", { class: "faint" }, t("sign-in.lead")), h("label", { for: "token" }, t("token")), field, problem, h("button", { class: "main", type: "submit" }, t("enter"))),
  );
  field.focus();
}

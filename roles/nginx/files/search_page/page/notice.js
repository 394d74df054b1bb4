// The box that says what is wrong, and the field for a key.

import { byId, element } from "./dom.js";
import { explained, lacking } from "./messages.js";

/**
 * Show a problem.
 * @param {import("./api.js").Problem} problem
 * @param {{again: () => void, unfiltered: (() => void)|null, waits: number|null}} options - `again` asks again,
 *   `unfiltered` without filters, `waits` is after how many seconds it is asked again by itself
 */
export function showProblem(problem, { again, unfiltered, waits }) {
  const { kind, title, detail } = explained(problem);
  const said = [element("strong", {}, title), element("p", {}, detail)];
  if (waits !== null) said.push(element("p", {}, `It is asked again in ${waits === 1 ? "a second" : `${waits} seconds`}.`));
  if (kind !== "key" && kind !== "question") said.push(button("Ask again", again));
  if (kind === "question" && unfiltered) said.push(button("Ask without filters", unfiltered));
  if (problem.requestId && (kind === "wait" || kind === "fault")) said.push(element("p", { class: "small" }, `Request ${problem.requestId}`));
  byId("notice").className = kind;
  byId("notice").replaceChildren(...said);
  byId("key").hidden = kind !== "key";
}

/** Say what a partial answer lacks, or nothing. */
export function showLacking(missing) {
  byId("notice").className = "wait";
  byId("notice").replaceChildren(...(missing.length ? [element("p", {}, lacking(missing))] : []));
  byId("key").hidden = true;
}

function button(words, pressed) {
  const made = element("button", { type: "button" }, words);
  made.addEventListener("click", pressed);
  return made;
}

// The list of results.

import { element } from "./dom.js";
import { marked } from "./words.js";

/**
 * Show the results of one question.
 * @param {HTMLElement} list
 * @param {{results: object[], confidence: number|null}} answer
 * @param {string} question
 */
export function showResults(list, { results, confidence }, question) {
  list.replaceChildren(...results.map((result, place) => item(result, place ? null : confidence, question)));
}

function item(result, confidence, question) {
  const byAnswer = result.matched === "answer";
  return element(
    "li",
    { tabindex: "-1" },
    element("p", { class: "text", dir: "auto" }, ...withMarks(result.text, question)),
    answer(result.answer, byAnswer ? question : ""),
    element("p", { class: "facts" }, ...facts(result, confidence, byAnswer)),
  );
}

function answer(text, question) {
  if (text === null || text === "") return element("p", { class: "answer none" }, "No answer is stored with it.");
  return element("p", { class: "answer", dir: "auto" }, ...withMarks(text, question));
}

function withMarks(text, question) {
  return marked(text, question).map((piece) =>
    piece.shared ? element("mark", { class: piece.shared }, piece.text) : piece.text,
  );
}

function facts(result, confidence, byAnswer) {
  const told = [];
  if (confidence !== null) told.push(fact("", `${percent(confidence)} sure`, "How likely it is that this means the same", "sure"));
  if (byAnswer) told.push(fact("", "found by its answer", "The answer is nearer to the question than the text is"));
  told.push(fact("score", result.score.toFixed(3), "How near the meaning is: 1 is the same text"));
  if (result.lexical !== null) told.push(fact("words", result.lexical.toFixed(2), "How much of the question's words it has, 0 to 1"));
  for (const [name, value] of Object.entries(result.metadata ?? {})) told.push(fact(name, plain(value)));
  told.push(fact("id", result.id));
  return told;
}

function fact(name, value, title = null, kind = null) {
  return element("span", { title, class: kind }, name ? `${name} ` : "", element("b", {}, value));
}

// Metadata is whatever the corpus has.
const plain = (value) => (typeof value === "string" ? value : JSON.stringify(value));

// Never "100 %": a probability is not certain because it was rounded.
const percent = (share) => `${Math.min(99, Math.max(1, Math.round(100 * share)))} %`;

// The search page: what is typed is asked, and what was asked last is shown.

import { call, Problem } from "./api.js";
import { copyButtons } from "./copy.js";
import { byId, element } from "./dom.js";
import { showAgain, showFacts } from "./facts.js";
import { showFilters } from "./filters.js";
import { key, keyForm } from "./key.js";
import { keyboard } from "./keyboard.js";
import { Latest } from "./latest.js";
import { counted } from "./messages.js";
import { showLacking, showProblem } from "./notice.js";
import { showResults } from "./results.js";
import { CHOICES_OF_K, fromHash, toBody, toHash } from "./state.js";

const TYPING_MS = 180;
// How often a question is asked again by itself, and how long at least in between.
const TRIES = 5;
const WAIT_SECONDS = 2;

const input = byId("question");
const list = byId("results");
const latest = new Latest();
let state = fromHash(location.hash);
let filtersOf = null; // the generation whose filters were asked for
let tries = 0;

/** Ask for what the state says, in so many milliseconds. */
function ask(delay = 0) {
  showAgain(state, Boolean(key()));
  byId("hint").hidden = Boolean(state.question.trim());
  if (!state.question.trim()) return showNothing();
  document.body.setAttribute("aria-busy", "true");
  begin(delay);
}

function begin(delay) {
  const asked = state;
  latest.run(delay, (signal) => search(asked, signal), (found) => shown(asked, found), showFailure);
}

async function search(asked, signal) {
  showAddress();
  const begun = performance.now();
  const answer = await call("v1/search", { body: toBody(asked), key: key(), signal });
  return { answer, seconds: (performance.now() - begun) / 1000 };
}

/** What is no answer of a fleet, though it looks like one, is a fault like others. */
function shown(asked, found) {
  try {
    showAnswer(asked, found);
  } catch (error) {
    console.error(error);
    showFailure(new Problem({ status: 502 }));
  }
}

function showAnswer(asked, { answer, seconds }) {
  const [own] = answer.queries;
  tries = 0;
  settle(counted(own, Object.keys(asked.filter).length > 0));
  showLacking(own.shards_missing);
  showResults(list, own, asked.question);
  showFacts(answer, seconds);
  if (answer.generation === filtersOf) return;
  filtersOf = answer.generation;
  loadFilters();
}

function showFailure(error) {
  if (!(error instanceof Problem)) throw error;
  settle("");
  list.replaceChildren();
  byId("facts").hidden = true;
  const comesBack = (error.retryAfter !== null || (error.status === 0 && navigator.onLine)) && tries < TRIES;
  const waits = comesBack ? Math.max(error.retryAfter, WAIT_SECONDS * 2 ** tries) : null;
  const filtered = Object.keys(state.filter).length > 0;
  showProblem(error, { again: () => ask(), unfiltered: filtered ? () => refilter({}) : null, waits });
  if (waits === null) return;
  tries += 1;
  begin(1000 * waits);
}

function showNothing() {
  latest.stop();
  showAddress();
  settle("");
  showLacking([]);
  list.replaceChildren();
  byId("facts").hidden = true;
}

/** Not at every key: browsers refuse an address that changes too often. */
function showAddress() {
  history.replaceState(null, "", toHash(state) || location.pathname + location.search);
}

function settle(words) {
  document.body.removeAttribute("aria-busy");
  byId("status").textContent = words;
}

/** Ask for something else than before. */
function change(changed, delay = 0) {
  state = { ...state, ...changed };
  tries = 0;
  ask(delay);
}

function refilter(filter) {
  change({ filter });
  loadFilters();
}

/** The filters of the generation that answers; a fleet that has none answers 404, or no fields. */
async function loadFilters() {
  try {
    const { generation, fields } = await call("v1/filters", { key: key() });
    filtersOf = generation;
    showFilters(byId("filters"), fields, state.filter, (filter) => change({ filter }, TYPING_MS));
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    byId("filters").hidden = true;
  }
}

/** Show in the controls what the state says: at the beginning, and when the address has changed. */
function showState() {
  input.value = state.question;
  const choices = [...new Set([...CHOICES_OF_K, state.k])].toSorted((a, b) => a - b);
  byId("k").replaceChildren(...choices.map((k) => element("option", { selected: k === state.k }, String(k))));
  loadFilters();
}

input.addEventListener("input", () => change({ question: input.value }, TYPING_MS));
byId("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  change({ question: input.value });
});
byId("k").addEventListener("change", () => change({ k: Number(byId("k").value) }));
window.addEventListener("online", () => ask());
window.addEventListener("hashchange", () => {
  state = fromHash(location.hash);
  showState();
  ask();
});
keyForm(() => {
  loadFilters();
  change({});
  input.focus();
});
keyboard(input, list, () => change({ question: "" }));
copyButtons(byId("copied"));
// On a narrow screen results come first, and everything beside them is folded.
if (matchMedia("(width < 60rem)").matches) {
  for (const part of document.querySelectorAll("details")) part.open = false;
}
showState();
ask();

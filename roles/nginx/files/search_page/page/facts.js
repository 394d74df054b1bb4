// What answered, and how to ask the same again: beside the results.

import { url } from "./api.js";
import { command } from "./curl.js";
import { byId, element } from "./dom.js";
import { toBody, toHash } from "./state.js";

/**
 * Say what answered.
 * @param {object} answer - of /v1/search
 * @param {number} seconds - from asking to having it
 */
export function showFacts(answer, seconds) {
  const [own] = answer.queries;
  const times = answer.timings_ms;
  const rows = {
    Generation: answer.generation,
    Shards: own.shards_asked.join(", ") || "none",
    Missing: own.shards_missing.join(", "),
    Confidence: own.confidence === null ? "not known: built without labels" : own.confidence.toFixed(3),
    Fleet: times.search ? `${milliseconds(times.total)} (encode ${milliseconds(times.encode)}, search ${milliseconds(times.search)})` : "from memory",
    "Round trip": milliseconds(1000 * seconds),
  };
  const said = Object.entries(rows).filter(([, value]) => value);
  byId("facts").querySelector("dl").replaceChildren(
    ...said.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]),
  );
  byId("facts").hidden = false;
}

/** Say how to ask the same: nothing where nothing is asked. */
export function showAgain(state, withKey) {
  byId("again").hidden = !state.question;
  byId("link").setAttribute("href", toHash(state));
  byId("curl").textContent = command(url("v1/search"), toBody(state), withKey);
}

const milliseconds = (value) => `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;

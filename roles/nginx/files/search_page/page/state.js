// What is asked, as a link says it: {question, k, filter}. It is behind the "#", which browsers send to no server,
// so that no log of any server has the question.

export const CHOICES_OF_K = [5, 10, 20, 50];
const DEFAULT_K = 10;
const MAX_K = 100;

/**
 * Read a link's part from "#" on; what it does not say, or says wrongly, has its default.
 * @param {string} hash
 */
export function fromHash(hash) {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  const k = Number(given.get("k") ?? DEFAULT_K);
  return {
    question: given.get("q") ?? "",
    k: Number.isInteger(k) && k >= 1 && k <= MAX_K ? k : DEFAULT_K,
    filter: readFilter(given.get("filter")),
  };
}

/**
 * Write it; empty where nothing is asked.
 * @returns {string} from "#" on
 */
export function toHash({ question, k, filter }) {
  const said = new URLSearchParams();
  if (question) said.set("q", question);
  if (k !== DEFAULT_K) said.set("k", String(k));
  if (Object.keys(filter).length) said.set("filter", JSON.stringify(filter));
  return said.size ? `#${said}` : "";
}

/** The body of POST /v1/search that asks it. */
export function toBody({ question, k, filter }) {
  return JSON.stringify({ queries: [question], k, ...(Object.keys(filter).length && { filter }) });
}

function readFilter(text) {
  try {
    const filter = JSON.parse(text ?? "{}");
    return filter && typeof filter === "object" && !Array.isArray(filter) ? filter : {};
  } catch {
    return {};
  }
}

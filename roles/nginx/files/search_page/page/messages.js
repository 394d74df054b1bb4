// What is said when there is no answer, or not the usual one, in words for people.

/**
 * @param {import("./api.js").Problem} problem
 * @returns {{title: string, detail: string, kind: "wait"|"key"|"question"|"offline"|"fault"}}
 */
export function explained(problem) {
  const { status, message } = problem;
  if (status === 0) {
    return navigator.onLine
      ? say("offline", "The fleet cannot be reached", "Nothing answers at this address. It may be restarting, or a network between you and it is down.")
      : say("offline", "You are offline", "Your question is asked as soon as the connection is back.");
  }
  if (status === 401) return say("key", "This fleet wants an API key", "Ask who runs it for one.");
  if (status === 403) return say("key", "This API key is not known", "It may be mistyped, or was withdrawn.");
  if (status === 429) return say("wait", "Too many questions at once", "The fleet takes only so many in a second.");
  if (status === 503) return say("wait", "The fleet cannot answer right now", "A part that this question needs is not there.");
  if (status === 502) return say("wait", "The fleet is not ready", "It is starting, or being restarted.");
  if (status === 504) return say("wait", "This took too long", "The fleet is busy.");
  if (status < 500) return say("question", "This cannot be asked", sentence(message));
  return say("fault", "Something broke in the fleet", "It is not your question. Who runs the fleet finds it by the request's number.");
}

/**
 * How many results there are, for eyes and for screen readers.
 * @param {{results: object[], match: string|null, partial: boolean}} answer
 * @param {boolean} filtered
 */
export function counted({ results, match, partial }, filtered) {
  const many = results.length;
  if (many && match === null) return `Nothing fits well. The ${many === 1 ? "nearest" : `${many} nearest`}:`;
  if (many) return many === 1 ? "1 result" : `${many} results`;
  if (partial) return "No results: parts of the index did not answer";
  return filtered ? "No document passes these filters" : "The index has nothing for this";
}

/** What a partial answer lacks. */
export const lacking = (missing) =>
  `${missing.length === 1 ? "A part" : `${missing.length} parts`} of the index did not answer (${listed("shard", missing)}), ` +
  "so a nearer question may be missing.";

/** "shard 2", "shards 0, 2". */
export const listed = (noun, numbers) => `${noun}${numbers.length === 1 ? "" : "s"} ${numbers.join(", ")}`;

function say(kind, title, detail) {
  return { kind, title, detail };
}

function sentence(text) {
  return text ? `${text[0].toUpperCase()}${text.slice(1)}.` : "";
}

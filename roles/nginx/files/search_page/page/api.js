// Calls of the fleet, and what it answers when it cannot.

// Timers of browsers end at 24 days, and then begin at once.
const LONGEST_SECONDS = 86400;

/** An answer that is none. Of no connection, `status` is 0. */
export class Problem extends Error {
  /**
   * @param {{status: number, code?: string, detail?: string, field?: string}} told
   * @param {number|null} retryAfter - seconds
   * @param {string|null} requestId - by which the fleet's logs know it
   */
  constructor(told, retryAfter = null, requestId = null) {
    super(told.detail ?? "");
    this.status = told.status;
    this.code = told.code ?? "";
    this.field = told.field ?? "";
    this.retryAfter = retryAfter;
    this.requestId = requestId;
  }
}

/** Where a route is: beside this page, so also below a prefix. */
export const url = (path) => new URL(path, document.baseURI).href;

/**
 * Ask a route; throws a Problem, or AbortError once the signal says so.
 * @param {string} path
 * @param {{body?: string, key?: string, signal?: AbortSignal}} options
 * @returns {Promise<object>} the answer
 */
export async function call(path, { body, key, signal } = {}) {
  const headers = { ...(body && { "Content-Type": "application/json" }), ...(key && { "X-API-Key": key }) };
  const init = { method: body ? "POST" : "GET", body, headers, signal, cache: "no-store" };
  let response, text;
  try {
    response = await fetch(url(path), init);
    text = await response.text();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ status: 0 });
  }
  const id = response.headers.get("X-Request-ID");
  const answer = parsed(text);
  if (response.ok && answer) return answer;
  const seconds = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  const retryAfter = seconds >= 0 ? Math.min(seconds, LONGEST_SECONDS) : null;
  // A server in between may answer in HTML.
  throw new Problem({ ...answer, status: response.ok ? 502 : response.status }, retryAfter, id);
}

function parsed(text) {
  try {
    const answer = JSON.parse(text);
    return answer && typeof answer === "object" ? answer : null;
  } catch {
    return null;
  }
}

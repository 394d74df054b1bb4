// The same question for a shell.

/** A text as one word of a POSIX shell, whatever is in it. */
export const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

/**
 * The command; a key is not written down, the shell's variable KEY has it.
 * @param {string} url
 * @param {string} body
 * @param {boolean} withKey
 */
export function command(url, body, withKey) {
  return `curl${withKey ? ' -H "X-API-Key: $KEY"' : ""} -d ${quoted(body)} ${quoted(url)}`;
}

// "/" writes, arrows move through the results, Esc goes back and then clears.

/**
 * Listen for them.
 * @param {HTMLInputElement} input - the question
 * @param {HTMLElement} list - the results
 * @param {() => void} cleared - called when Esc has cleared the question
 */
export function keyboard(input, list, cleared) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (pressed(event.key, event.target, { input, list, cleared })) event.preventDefault();
  });
}

/** Whether the key meant something. */
function pressed(key, target, { input, list, cleared }) {
  const inList = list.contains(target);
  if (key === "/" && !writes(target)) {
    input.focus();
    input.select();
    return true;
  }
  if (key === "Escape" && target === input) {
    input.value = "";
    cleared();
    return true;
  }
  if (key === "Escape") {
    input.focus();
    return true;
  }
  if ((key === "ArrowDown" || key === "ArrowUp") && (inList || target === input)) {
    return move(key === "ArrowDown" ? 1 : -1, target, { input, list });
  }
  return false;
}

/** One on, or one back; before the first is the question. */
function move(by, target, { input, list }) {
  const items = [...list.children];
  const place = items.findIndex((item) => item.contains(target)) + by;
  const next = place < 0 ? (by < 0 && list.contains(target) ? input : null) : items[place];
  next?.focus();
  return Boolean(next);
}

const writes = (target) => target.matches("input:not([type=checkbox])");

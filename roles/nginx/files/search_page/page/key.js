// The API key: in this tab's memory of its session, or of the page where a browser keeps none; and nowhere else.

import { byId } from "./dom.js";

const PLACE = "askfleet-key";

let kept = stored((storage) => storage.getItem(PLACE)) ?? "";

/** The key, or "". */
export const key = () => kept;

/** Have the form take a key and the button forget it; `changed` is called after either. */
export function keyForm(changed) {
  const input = byId("key-text");
  byId("key").addEventListener("submit", (event) => {
    event.preventDefault();
    use(input.value.trim());
    input.value = "";
  });
  byId("forget").addEventListener("click", () => use(""));
  const use = (text) => {
    kept = text;
    stored((storage) => (text ? storage.setItem(PLACE, text) : storage.removeItem(PLACE)));
    byId("forget").hidden = !text;
    changed();
  };
  byId("forget").hidden = !kept;
}

/** Browsers that block storage throw when it is touched. */
function stored(touch) {
  try {
    return touch(sessionStorage);
  } catch {
    return null;
  }
}

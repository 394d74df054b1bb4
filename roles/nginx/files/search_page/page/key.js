// The API key: in this tab's memory of its session, and nowhere else.

import { byId } from "./dom.js";

const PLACE = "askfleet-key";

/** The key, or "". */
export const key = () => sessionStorage.getItem(PLACE) ?? "";

/** Have the form take a key and the button forget it; `changed` is called after either. */
export function keyForm(changed) {
  const input = byId("key-text");
  byId("key").addEventListener("submit", (event) => {
    event.preventDefault();
    sessionStorage.setItem(PLACE, input.value.trim());
    input.value = "";
    told();
  });
  byId("forget").addEventListener("click", () => {
    sessionStorage.removeItem(PLACE);
    told();
  });
  const told = () => {
    byId("forget").hidden = !key();
    changed();
  };
  byId("forget").hidden = !key();
}

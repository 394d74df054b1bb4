// Buttons that copy what stands beside them: <button data-copies="ID">.

import { byId } from "./dom.js";

/** Have every such button work; `told` is a live region that says so. */
export function copyButtons(told) {
  for (const button of document.querySelectorAll("[data-copies]")) {
    const words = button.textContent;
    button.addEventListener("click", async () => {
      const source = byId(button.dataset.copies);
      const done = await copy(source instanceof HTMLAnchorElement ? source.href : source.textContent);
      told.textContent = button.textContent = done ? "Copied" : "Cannot copy here";
      setTimeout(() => {
        button.textContent = words;
        told.textContent = "";
      }, 2000);
    });
  }
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyByEvent(text);
  }
}

// Over plain HTTP a browser has no clipboard for pages, but still copies what is told it in a copy event.
function copyByEvent(text) {
  let told = false;
  const tell = (event) => {
    event.clipboardData.setData("text/plain", text);
    event.preventDefault();
    told = true;
  };
  document.addEventListener("copy", tell, { once: true });
  document.execCommand("copy");
  document.removeEventListener("copy", tell);
  return told;
}

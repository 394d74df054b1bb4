"use strict";
// Shows the questions that hold every word that is typed. Without it the page shows all.
(() => {
  const box = document.querySelector("#find");
  const told = document.querySelector("#found");
  const parts = [...document.querySelectorAll("article")].map((part) => ({
    part,
    text: part.textContent.toLowerCase(),
  }));
  const show = () => {
    const words = box.value.toLowerCase().split(/\s+/u).filter(Boolean);
    let count = 0;
    for (const { part, text } of parts) {
      part.hidden = !words.every((word) => text.includes(word));
      count += Number(!part.hidden);
    }
    told.textContent = `${count} of ${parts.length} shown`;
  };
  box.parentElement.hidden = false;
  box.addEventListener("input", show);
  show();
})();

// The fields that a generation can be filtered by. What is chosen lives in the state's `filter`, which a link may have
// brought, so that this only shows it and changes it.

import { element } from "./dom.js";

const RANGE = ["gte", "lte"];

/**
 * Show the fields, with what is chosen.
 * @param {HTMLElement} place - with a form, hidden where there is nothing to choose
 * @param {{name: string, type: "keyword"|"boolean"|"number", values: {value: unknown, documents: number}[],
 *   min?: number, max?: number}[]} fields - of /v1/filters
 * @param {object} filter - what is chosen
 * @param {(filter: object) => void} chosen - called with another one
 */
export function showFilters(place, fields, filter, chosen) {
  const form = place.querySelector("form");
  const change = (name, condition) => {
    const { [name]: _, ...others } = filter;
    filter = condition === undefined ? others : { ...others, [name]: condition };
    count();
    chosen(filter);
  };
  const clear = element("button", { type: "button" }, "Clear all filters");
  const count = () => {
    const many = Object.keys(filter).length;
    clear.hidden = !many;
    place.querySelector("summary").textContent = many ? `Filters (${many})` : "Filters"; // it may be folded
  };
  count();
  clear.addEventListener("click", () => {
    chosen({});
    showFilters(place, fields, {}, chosen);
    place.querySelector("summary").focus(); // the button that had the focus is gone
  });
  const shown = fields.map((field) =>
    (field.type === "number" ? range : choices)(field, own(filter, field.name), (condition) => change(field.name, condition)),
  );
  form.replaceChildren(...shown, clear);
  place.hidden = !fields.length;
}

/** Boxes for the commonest values, and for those that a link chose. */
function choices({ name, values }, condition, change) {
  const wanted = listed(condition);
  const known = new Set(values.map(({ value }) => value));
  const others = wanted.filter((value) => !known.has(value)).map((value) => ({ value, documents: null }));
  const boxes = [...values, ...others].map(({ value, documents }) => {
    const box = element("input", { type: "checkbox", checked: wanted.includes(value) });
    box.addEventListener("change", () => {
      const at = wanted.indexOf(value);
      if (box.checked && at < 0) wanted.push(value);
      else if (at >= 0) wanted.splice(at, 1);
      change(wanted.length > 1 ? [...wanted] : wanted[0]);
    });
    const count = documents === null ? "" : documents.toLocaleString("en");
    return element("label", {}, box, element("span", { dir: "auto" }, String(value)), element("small", {}, count));
  });
  return element("fieldset", { class: "choices" }, element("legend", {}, name), element("div", {}, ...boxes));
}

/** From and to. */
function range({ name, min, max }, condition, change) {
  const bounds = condition && typeof condition === "object" ? { ...condition } : {};
  const boxes = RANGE.map((bound) => {
    const of = bound === "gte" ? ["from", min] : ["to", max];
    const box = element("input", { type: "number", step: "any", placeholder: of[1] ?? null, value: bounds[bound] ?? null });
    box.addEventListener("input", () => {
      if (box.value === "") delete bounds[bound];
      else bounds[bound] = box.valueAsNumber;
      change(Object.keys(bounds).length ? { ...bounds } : undefined);
    });
    return element("label", {}, `${of[0]} `, box);
  });
  return element("fieldset", { class: "range" }, element("legend", {}, name), ...boxes);
}

// Not what every object has: a field may be called "constructor".
const own = (filter, name) => (Object.hasOwn(filter, name) ? filter[name] : undefined);

const listed = (condition) => (condition === undefined ? [] : Array.isArray(condition) ? [...condition] : [condition]);

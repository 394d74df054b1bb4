// Which words a text shares with a question. This sees two texts and no corpus, so it says what is the same, not what
// decided: the fleet orders by meaning, and by how rare the shared trigrams are.

const SEGMENTER = new Intl.Segmenter(undefined, { granularity: "word" });
// Two words are alike that have so many trigrams in common, and such a share of all: "vaccnies", "codes", not "word"
// for "work".
const NUMBER = /\p{N}/u; // X1000 is no mistyped X2000
const MIN_SHARED = 3;
const MIN_SHARE = 0.5;
// English words that nearly every question has. They are marked only where a question has no others.
const COMMON = new Set(
  ("a about an and any are as at be been by can could did do does for from had has have he her his how i if in into is " +
    "it its may me my not of on or our she should so than that the their them there they this to was we were what when " +
    "where which who whom whose why will with would you your").split(" "),
);

/** Without case and compatibility forms, as the fleet folds texts. */
export const fold = (text) => text.normalize("NFKC").toLowerCase().normalize("NFKC");

/**
 * The words of a text and where they stand.
 * @param {string} text
 * @returns {{word: string, start: number, end: number}[]} words folded
 */
export function words(text) {
  return [...SEGMENTER.segment(text)]
    .filter((part) => part.isWordLike)
    .map((part) => ({ word: fold(part.segment), start: part.index, end: part.index + part.segment.length }));
}

/**
 * A text cut where marks begin and end.
 * @param {string} text
 * @param {string} question
 * @returns {{text: string, shared: ""|"same"|"alike"}[]} the pieces, which are the text when joined
 */
export function marked(text, question) {
  const all = words(question).map(({ word }) => word);
  const telling = all.filter((word) => !COMMON.has(word));
  const wanted = new Set(telling.length ? telling : all);
  const isAlike = likeness(wanted);
  const pieces = [];
  let at = 0;
  for (const { word, start, end } of words(text)) {
    const shared = wanted.has(word) ? "same" : isAlike(word) ? "alike" : "";
    if (!shared) continue;
    if (start > at) pieces.push({ text: text.slice(at, start), shared: "" });
    pieces.push({ text: text.slice(start, end), shared });
    at = end;
  }
  if (at < text.length) pieces.push({ text: text.slice(at), shared: "" });
  return pieces;
}

/**
 * Whether a word is like one of those wanted. Only those with a common trigram are compared, and each word once: both
 * texts may be long.
 * @param {Set<string>} wanted
 * @returns {(word: string) => boolean}
 */
function likeness(wanted) {
  const sizes = new Map();
  const having = new Map();
  for (const asked of wanted) {
    if (NUMBER.test(asked)) continue;
    const own = trigrams(asked);
    sizes.set(asked, own.size);
    for (const trigram of own) {
      if (!having.has(trigram)) having.set(trigram, []);
      having.get(trigram).push(asked);
    }
  }
  const known = new Map();
  return (word) => {
    if (!known.has(word)) known.set(word, !NUMBER.test(word) && compared(trigrams(word), having, sizes));
    return known.get(word);
  };
}

function compared(own, having, sizes) {
  const shared = new Map();
  for (const trigram of own) {
    for (const asked of having.get(trigram) ?? []) shared.set(asked, (shared.get(asked) ?? 0) + 1);
  }
  return [...shared].some(
    ([asked, count]) => count >= MIN_SHARED && 2 * count >= MIN_SHARE * (own.size + sizes.get(asked)),
  );
}

function trigrams(word) {
  const padded = [" ", ...word, " "];
  return new Set(padded.slice(2).map((last, place) => padded[place] + padded[place + 1] + last));
}

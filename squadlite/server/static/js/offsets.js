/** The server counts characters as code points, JavaScript as UTF-16 units. */

const HAS_PAIRS = /[\ud800-\udfff]/;

/** How many code points a text has. */
export function countPoints(text) {
  return HAS_PAIRS.test(text) ? Array.from(text).length : text.length;
}

/** The part of a text between two code points; as `String.slice` for numbers from 0. */
export function slicePoints(text, start, end = Infinity) {
  if (!HAS_PAIRS.test(text)) return text.slice(start, end);
  return Array.from(text).slice(start, end).join("");
}

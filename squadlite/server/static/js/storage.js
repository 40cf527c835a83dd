/** What this browser keeps: the display chosen, and the questions asked. */

const MAX_QUESTIONS = 60;

function load(name, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(`squadlite.${name}`)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

function save(name, value) {
  try {
    localStorage.setItem(`squadlite.${name}`, JSON.stringify(value));
  } catch {
    // Storage may be full or forbidden: the page works without.
  }
}

/** The theme ("auto", "light", "dark") and the size of the text, 0 to 5. */
export function display() {
  return { theme: "auto", size: 2, ...load("display", {}) };
}

/** Change some of the display, at once and for later. */
export function setDisplay(changes) {
  save("display", { ...display(), ...changes });
  dispatchEvent(new Event("squadlite:display"));
}

/*
 * Of a question only its words are kept, not what it was answered: an answer kept from before would
 * tell what a bound set since forbids. The title is kept too, since another library's books have the
 * same numbers.
 */
const isOf = (book) => (entry) => entry.book === (book?.id ?? null) && entry.title === (book?.title ?? null);

/** The questions asked of a book, or of the shelf (null), the last one first. */
export function questions(book) {
  return load("questions", []).filter(isOf(book)).map((entry) => entry.question);
}

/** Note a question as the last one asked of a book, or of the shelf (null). */
export function noteQuestion(book, question) {
  forgetQuestion(book, question);
  const entry = { book: book?.id ?? null, title: book?.title ?? null, question };
  save("questions", [entry, ...load("questions", [])].slice(0, MAX_QUESTIONS));
}

/** Forget a question asked of a book, or of the shelf (null); without one, forget them all. */
export function forgetQuestion(book, question = null) {
  const isIts = isOf(book);
  const kept = load("questions", []).filter(
    (entry) => !isIts(entry) || (question !== null && entry.question !== question),
  );
  save("questions", kept);
}

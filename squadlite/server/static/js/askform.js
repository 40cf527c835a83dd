/** Where a question is typed, and the list of those asked before. */

import { h, icon } from "./dom.js";
import { navigate } from "./navigation.js";
import { forgetQuestion, questions } from "./storage.js";

/** The address of the answers to a question about a book, or about the shelf (null). */
export function answersAddress(book, question) {
  const where = book === null ? "#/ask" : `#/books/${book.id}/ask`;
  return `${where}?${new URLSearchParams({ q: question })}`;
}

/**
 * A form to ask a book, or the shelf (null).
 *
 * @param {object|null} book - which.
 * @param {string} question - what stands in it.
 */
export function askForm(book, question = "") {
  const label = book === null ? "Ask all your books" : `Ask ${book.title}`;
  // A long question takes several lines; Enter asks it.
  const onkeydown = (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    field.form.requestSubmit();
  };
  const field = h("textarea", {
    id: "question",
    name: "question",
    rows: 1,
    placeholder: book === null ? "Ask all your books…" : "Ask this book…",
    maxlength: 500,
    required: true,
    autocomplete: "off",
    enterkeyhint: "go",
    onkeydown,
  }, question);
  const onsubmit = (event) => {
    event.preventDefault();
    const asked = field.value.trim();
    if (asked === "") return;
    document.querySelector("dialog[open]")?.close();
    field.blur();
    navigate(answersAddress(book, asked));
  };
  return h(
    "form.ask",
    { role: "search", onsubmit },
    h("label.visually-hidden", { for: "question" }, label),
    icon("ask"),
    field,
    h("button", { type: "submit" }, "Ask"),
  );
}

/** The questions asked of a book, or of the shelf (null), before; null where there are none. */
export function askedBefore(book) {
  const asked = questions(book);
  if (asked.length === 0) return null;
  const section = h("section.asked", { "aria-labelledby": "asked-title" });
  const forget = (question) => () => {
    forgetQuestion(book, question);
    const rest = askedBefore(book);
    if (rest === null) section.remove();
    else section.replaceWith(rest);
    (rest?.querySelector("button") ?? document.querySelector("main h1"))?.focus();
  };
  section.append(
    h(
      "header",
      {},
      h("h2", { id: "asked-title" }, "Asked before"),
      h("button.quiet", { type: "button", onclick: forget(null) }, "Forget all"),
    ),
    h(
      "ul",
      {},
      asked.map((question) =>
        h(
          "li",
          {},
          h("a", { href: answersAddress(book, question) }, question),
          h(
            "button.quiet",
            { type: "button", "aria-label": `Forget “${question}”`, onclick: forget(question) },
            icon("close"),
          ),
        ),
      ),
    ),
  );
  return section;
}

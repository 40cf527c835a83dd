/** A book: its cover, a question to it, those asked before, who is in it, its contents. */

import { getBook, getPeople, putUntil, removeBook } from "./api.js";
import { answersAddress, askForm, askedBefore } from "./askform.js";
import { forgetReplies } from "./answers.js";
import { cover } from "./covers.js";
import { h, openDialog, toast } from "./dom.js";
import { navigate } from "./navigation.js";
import { countPoints } from "./offsets.js";
import { forgetQuestion } from "./storage.js";

const SHOWN_NAMES = 8;

/** Show a book. */
export async function showBook({ book: id, signal }) {
  const book = await getBook(id, signal);
  const people = h("div", {});
  showPeople(people, book, signal);
  const content = h(
    "div.book-page",
    {},
    h(
      "aside",
      { "aria-label": "The book" },
      cover(book),
      h("a.button.primary", { id: "read", href: `#/books/${id}/read` }, book.position === null ? "Read" : "Read on"),
      bound(book),
      h("button.quiet.remove", { type: "button", onclick: () => confirmRemoval(book) }, "Remove from the shelf"),
    ),
    h(
      "div.about",
      {},
      h("h1", { tabindex: "-1", lang: book.language || null }, book.title),
      h("p.author", {}, book.author),
      book.indexed ? askForm(book) : h("p.bound-note", {}, "squadlite is still reading this book. If it stays so, add its file again."),
      askedBefore(book) ?? "",
      people,
      contents(book),
    ),
  );
  return { title: book.title, content, keys: {}, parent: "#/" };
}

function bound(book) {
  if (book.until === null) {
    return h("p.bound-note", {}, "Answers come from the whole book. While reading, tell squadlite how far you are, and nothing beyond is given away.");
  }
  const forget = async () => {
    await putUntil(book.id, null);
    forgetReplies();
    dispatchEvent(new Event("squadlite:again"));
    toast("Answers come from the whole book again.", async () => {
      await putUntil(book.id, book.until);
      forgetReplies();
      dispatchEvent(new Event("squadlite:again"));
    });
  };
  return h(
    "div.bound-note",
    {},
    h("p", {}, "You’ve read into ", h("q", {}, book.contents[book.until.chapter].title), ". Nothing beyond is given away."),
    h("button.quiet", { type: "button", onclick: forget }, "Answer from the whole book"),
  );
}

async function showPeople(place, book, signal) {
  // What can't be listed isn't missed: the rest of the page is of use without.
  const people = await getPeople(book.id, signal).catch(() => []);
  if (people.length === 0) return;
  const names = (kind) => people.filter((name) => name.kind === kind);
  place.replaceWith(
    h(
      "section.people",
      { "aria-labelledby": "people-title" },
      h("header", {}, h("h2", { id: "people-title" }, "Who’s who")),
      nameList(book, names("person"), "People", "Who is"),
      nameList(book, names("place"), "Places", "What is"),
    ),
  );
}

function nameList(book, names, heading, question) {
  if (names.length === 0) return null;
  const id = `names-${heading.toLowerCase()}`;
  const item = ({ name, count, first: { chapter, offset } }, number) =>
    h(
      "li",
      { hidden: number >= SHOWN_NAMES },
      h("a.name", { href: answersAddress(book, `${question} ${name}?`), "aria-label": `${question} ${name}?` }, name),
      h("span.times", {}, count === 1 ? "once" : `${count} times`),
      h(
        "a.first",
        { href: `#/books/${book.id}/read/${chapter}?start=${offset}&end=${offset + countPoints(name)}` },
        h("span.visually-hidden", {}, `${name}, `),
        `first in ${book.contents[chapter].title}`,
      ),
    );
  const list = h("ul.names", { "aria-labelledby": id }, names.map(item));
  const more = h(
    "button.quiet",
    {
      type: "button",
      onclick: () => {
        for (const hidden of list.querySelectorAll("[hidden]")) hidden.hidden = false;
        list.querySelectorAll(".name")[SHOWN_NAMES].focus();
        more.remove();
      },
    },
    `${names.length - SHOWN_NAMES} more`,
  );
  return [h("h3", { id }, heading), list, names.length > SHOWN_NAMES ? more : null];
}

function contents(book) {
  const at = book.position?.chapter;
  return h(
    "section.contents",
    { "aria-labelledby": "contents-title" },
    h("header", {}, h("h2", { id: "contents-title" }, "Contents")),
    h(
      "ol",
      { lang: book.language || null },
      book.contents.map(({ index, title }) =>
        h("li", {}, h("a", { href: `#/books/${book.id}/read/${index}`, "aria-current": index === at ? "true" : null }, title)),
      ),
    ),
  );
}

function confirmRemoval(book) {
  const remove = (close) => async () => {
    try {
      await removeBook(book.id);
    } catch (error) {
      close();
      toast(error.message);
      return;
    }
    forgetQuestion(book);
    forgetReplies();
    close();
    navigate("#/");
    toast(`Removed ${book.title}.`);
  };
  openDialog("confirm", `Remove “${book.title}”?`, (close) => [
    h("p", {}, "It leaves the shelf with your place in it and the questions you asked. The file it came from stays where it is."),
    h(
      "div.choices",
      {},
      h("button", { type: "button", onclick: close }, "Keep it"),
      h("button.danger", { type: "button", onclick: remove(close) }, "Remove"),
    ),
  ]);
}

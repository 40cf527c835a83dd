/** The shelf: all books by their covers, what is being added, and a question to all of them. */

import { listBooks } from "./api.js";
import { askForm, askedBefore } from "./askform.js";
import { cover } from "./covers.js";
import { h, icon } from "./dom.js";
import { addFiles, dismiss, pending, uploads } from "./uploads.js";

const KINDS = ".epub,.pdf,.mobi,.azw,.azw3,.prc,.pdb,.fb2,.fbz,.zip,.docx,.odt,.rtf,.txt,.md,.html,.htm,.xhtml";

const fold = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLocaleLowerCase();

/** Show the shelf. */
export async function showShelf({ signal }) {
  let books = await listBooks(signal);
  const list = h("ul.books", { "aria-label": "Books" });
  const count = h("p.count", { role: "status" });
  const empty = h("div.empty", {});
  const search = h("input", {
    id: "search",
    type: "search",
    placeholder: "Title or author",
    autocomplete: "off",
    oninput: () => draw(),
  });
  const tools = h(
    "div.tools",
    {},
    h("label.visually-hidden", { for: "search" }, "Find a book by title or author"),
    search,
    addButton("add-books", "Add books"),
  );
  const content = h("div.shelf", {});

  function draw() {
    const wanted = fold(search.value.trim());
    const found = books.filter((book) => fold(`${book.title} ${book.author}`).includes(wanted));
    list.replaceChildren(...pending.map(pendingItem), ...found.map(bookItem));
    const isEmpty = books.length === 0 && pending.length === 0;
    count.textContent =
      wanted !== "" ? `${found.length} of ${numbered(books.length)}` : isEmpty ? "" : numbered(books.length);
    content.classList.toggle("is-empty", isEmpty);
    empty.replaceChildren(...(isEmpty ? emptyShelf() : []));
  }

  content.append(
    h(
      "section.hero",
      {},
      h("h1", { tabindex: "-1" }, "What would you like to know?"),
      askForm(null),
      askedBefore(null) ?? "",
    ),
    h(
      "section",
      { "aria-labelledby": "shelf-title" },
      h("header.bar", {}, h("h2", { id: "shelf-title" }, "Your shelf"), count, tools),
      list,
      empty,
    ),
  );
  draw();
  uploads.addEventListener("change", draw, { signal });
  const add = ({ detail }) => {
    books = [...books.filter((book) => book.id !== detail.id), detail];
    draw();
  };
  uploads.addEventListener("added", add, { signal });
  return { title: "", content, keys: {}, parent: null };
}

const numbered = (count) => (count === 1 ? "1 book" : `${count} books`);

function addButton(id, text) {
  const input = h("input.visually-hidden", {
    id,
    type: "file",
    multiple: true,
    accept: KINDS,
    onchange: (event) => {
      addFiles([...event.target.files]);
      event.target.value = "";
    },
  });
  return h("span.add", {}, input, h("label.button", { for: id }, icon("add"), text));
}

function emptyShelf() {
  return [
    h("p.lead", {}, "An empty shelf."),
    h("p", {}, "Drop a book anywhere on this page, or choose one: EPUB, PDF, MOBI, FB2, Word or plain text. It stays on this computer."),
    addButton("add-first", "Add your first book"),
  ];
}

function bookItem(book) {
  return h(
    "li.book",
    {},
    h(
      "a",
      { id: `book-${book.id}`, href: `#/books/${book.id}` },
      cover(book),
      h("span.title", { lang: book.language || null }, book.title),
      h("span.author", {}, book.author),
      place(book),
    ),
  );
}

function place({ position, until, chapters }) {
  const at = position ?? until;
  return at === null ? null : h("span.place", {}, `Chapter ${at.chapter + 1} of ${chapters}`);
}

function pendingItem(entry) {
  const bar = h("progress", entry.total > 0 ? { max: entry.total, value: entry.done } : {});
  bar.setAttribute("aria-label", `Adding ${entry.name}`);
  return h(
    "li.book.pending",
    {},
    h(
      "div.cover.blank",
      {},
      entry.error === null
        ? [h("p", {}, entry.what), bar]
        : [
            h("p.error", {}, entry.error),
            h("button", { type: "button", onclick: () => dismiss(entry) }, "Dismiss"),
          ],
    ),
    h("span.title", {}, entry.name),
  );
}

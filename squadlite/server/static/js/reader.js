/** The reader: a chapter, the answer marked in it, the place kept, how far it has been read. */

import { getBook, getChapter, putPosition, putUntil } from "./api.js";
import { forgetReplies } from "./answers.js";
import { askForm } from "./askform.js";
import { openDisplay } from "./dialogs.js";
import { announce, h, icon, openDialog, toast } from "./dom.js";
import { goBack, navigate } from "./navigation.js";
import { countPoints, slicePoints } from "./offsets.js";

const KEEP_AFTER = 700;

/** Show a chapter of a book, at the answer in the address, at the reader's place, or from its start. */
export async function showReader({ book: id, chapter: number, query, signal }) {
  const book = await getBook(id, signal);
  const kept = book.position ?? { chapter: 0, offset: 0 };
  const index = Math.min(number ?? kept.chapter, book.contents.length - 1);
  const chapter = await getChapter(id, index, signal);
  const { text, paragraphs } = setParagraphs(chapter, book.language);
  const answer = query.has("start")
    ? { start: Number(query.get("start")), end: Number(query.get("end")) }
    : null;
  const marks = answer === null ? [] : markAnswer(paragraphs, answer);
  let { until } = book;
  drawBound();

  const parent = `#/books/${id}`;
  const progress = h("span.progress", {});
  const readButton = h("button", { id: "read-to-here", type: "button", onclick: readToHere }, icon("bookmark"), h("span", {}, "I’ve read up to here"));
  const turn = (to) => to >= 0 && to < book.contents.length && navigate(`#/books/${id}/read/${to}`);
  const content = h(
    "div.reader",
    {},
    h(
      "header.reader-bar",
      {},
      h("button.quiet", { type: "button", "aria-label": "Back", onclick: () => goBack(parent) }, icon("back")),
      h("a.running", { href: parent }, book.title),
      h("button.quiet", { type: "button", "aria-label": "Contents", onclick: openContents }, icon("contents")),
      h("button.quiet", { type: "button", "aria-label": "Text and theme", onclick: openDisplay }, "Aa"),
      h("button.quiet", { type: "button", "aria-label": "Ask this book", onclick: openAsk }, icon("ask")),
    ),
    text,
    h(
      "nav.turn",
      { "aria-label": "Chapters" },
      index > 0 ? chapterLink(index - 1, "before", "Before") : h("span", {}),
      index + 1 < book.contents.length ? chapterLink(index + 1, "after", "Next") : h("p.end", {}, "The end."),
    ),
    h("footer.reader-foot", {}, progress, readButton),
  );

  function chapterLink(to, rel, words) {
    return h(`a.${rel}`, { href: `#/books/${id}/read/${to}` }, h("span", {}, words), h("strong", {}, book.contents[to].title));
  }

  function openAsk() {
    openDialog("ask-dialog", "Ask this book", () => [askForm(book)]).querySelector("textarea").focus();
  }

  function openContents() {
    const items = (close) =>
      book.contents.map(({ index: to, title }) =>
        h("li", {}, h("a", { href: `#/books/${id}/read/${to}`, "aria-current": to === index ? "page" : null, onclick: close }, title)),
      );
    const dialog = openDialog("contents-dialog", book.title, (close) => [h("ol", { lang: book.language || null }, items(close))]);
    dialog.querySelector("[aria-current]").focus();
  }

  /** Keep that the book is known up to the last paragraph that can be read whole on the screen. */
  async function readToHere() {
    const bottom = document.querySelector(".reader-foot").getBoundingClientRect().top;
    const above = paragraphs.filter(({ element }) => element.getBoundingClientRect().bottom <= bottom + 1);
    const last = above.at(-1) ?? paragraphs[0];
    const before = until;
    const set = async (value, words, undo) => {
      try {
        await putUntil(id, value);
      } catch (error) {
        toast(error.message);
        return;
      }
      until = value;
      forgetReplies();
      drawBound();
      toast(words, undo);
    };
    await set({ chapter: index, end: last.end }, "Answers now stop here.", () => set(before, "As it was before."));
  }

  function drawBound() {
    text.querySelector(".bound")?.remove();
    if (until?.chapter !== index) return;
    const last = paragraphs.findLast(({ start }) => start < until.end);
    const line = h("p.bound", {}, icon("bookmark"), "You’ve read up to here");
    if (last === undefined) text.prepend(line);
    else last.element.after(line);
  }

  let keepTimer;
  let keptOffset = null;

  function onScroll() {
    drawProgress();
    clearTimeout(keepTimer);
    keepTimer = setTimeout(keepPlace, KEEP_AFTER);
  }

  function drawProgress() {
    const scrollable = document.documentElement.scrollHeight - innerHeight;
    const share = scrollable > 0 ? Math.min(1, scrollY / scrollable) : 1;
    progress.textContent = `Chapter ${index + 1} of ${book.contents.length} · ${Math.round(share * 100)}%`;
  }

  /** Keep the place. Looking an answer up isn't reading on, so it leaves the place where it was. */
  function keepPlace() {
    clearTimeout(keepTimer);
    if (answer !== null) return;
    const top = document.querySelector(".reader-bar")?.getBoundingClientRect().bottom ?? 0;
    const first = paragraphs.find(({ element }) => element.getBoundingClientRect().bottom > top);
    const offset = scrollY === 0 ? 0 : (first ?? paragraphs.at(-1)).start;
    if (offset === keptOffset) return;
    keptOffset = offset;
    putPosition(id, { chapter: index, offset }).catch(() => {
      keptOffset = null;
    });
  }

  function shown(cameBack) {
    addEventListener("scroll", onScroll, { signal, passive: true });
    addEventListener("resize", drawProgress, { signal });
    addEventListener("pagehide", keepPlace, { signal });
    signal.addEventListener("abort", () => clearTimeout(keepTimer));
    if (!cameBack) goToPlace();
    drawProgress();
    keepPlace();
  }

  function goToPlace() {
    if (marks.length > 0) {
      marks[0].scrollIntoView({ block: "center" });
      marks[0].focus({ preventScroll: true });
      announce(`The answer, in ${chapter.title}`);
    } else if (number === undefined || (index === kept.chapter && kept.offset > 0)) {
      const place = paragraphs.findLast(({ start }) => start <= kept.offset);
      if (place !== undefined && kept.offset > 0) place.element.scrollIntoView({ block: "start" });
    }
  }

  return {
    title: `${chapter.title} · ${book.title}`,
    content,
    keys: {
      "/": openAsk,
      c: openContents,
      b: readToHere,
      ArrowLeft: () => turn(index - 1),
      ArrowRight: () => turn(index + 1),
    },
    parent,
    shown,
  };
}

/**
 * Set a chapter's paragraphs. Only their texts are taken from the server's HTML, so that nothing of
 * the book's own could ever run here.
 */
function setParagraphs(chapter, language) {
  const parsed = new DOMParser().parseFromString(chapter.html, "text/html");
  const given = [...parsed.querySelectorAll("p[data-start]")];
  const last = lastOfHeading(given.map(({ textContent }) => textContent), chapter.title);
  const paragraphs = given.map(({ textContent: text, dataset }, number) => {
    const start = Number(dataset.start);
    const tag = number < last ? "p.number" : number === last ? "h1" : isBreak(text) ? "p.break" : "p";
    return { text, start, end: start + countPoints(text), element: h(tag, {}, text) };
  });
  const heading = last === -1 ? h("h1", {}, chapter.title) : null;
  const text = h("article.page", { lang: language || null }, heading, paragraphs.map(({ element }) => element));
  text.querySelector("h1").tabIndex = -1;
  return { text, paragraphs };
}

const letters = (text) => text.replace(/[^\p{L}\p{N}]+/gu, "").toLowerCase();
const isBreak = (text) => letters(text) === "";

/**
 * Which of a chapter's first paragraphs is the end of its heading: the title may stand in one, or in
 * two, a number and a name; -1: in none.
 */
function lastOfHeading(texts, title) {
  const [first = "", second = ""] = texts.map(letters);
  if (first === letters(title)) return 0;
  const hasNumber = first.length < 20 && [second, first + second].includes(letters(title));
  return hasNumber ? 1 : -1;
}

/** Mark text[start:end] of the chapter; returns the marks, one in each paragraph it stands in. */
function markAnswer(paragraphs, { start, end }) {
  const marks = [];
  for (const { text, start: from, end: to, element } of paragraphs) {
    if (to <= start || from >= end) continue;
    const [first, last] = [Math.max(0, start - from), Math.min(to, end) - from];
    const mark = h("mark", { tabindex: "-1" }, slicePoints(text, first, last));
    element.replaceChildren(slicePoints(text, 0, first), mark, slicePoints(text, last));
    element.classList.add("answered");
    marks.push(mark);
  }
  return marks;
}

/** The answers to a question, as they come, best first. */

import { ask, getBook } from "./api.js";
import { askForm } from "./askform.js";
import { announce, h, icon } from "./dom.js";
import { comeBack } from "./navigation.js";
import { slicePoints } from "./offsets.js";
import { noteQuestion } from "./storage.js";

// How many characters of the passage are shown on either side of an answer.
const AROUND = 140;
const AROUND_BEST = 300;
const MAX_KEPT = 30;

// Coming back from the book shows the answers at once. They are kept as long as the page is.
const replies = new Map();

/** Forget the replies: books, or what may be told of them, have changed. */
export function forgetReplies() {
  replies.clear();
}

/** Show the answers to the question in the address. */
export async function showAnswers({ book: id, query, signal }) {
  const question = query.get("q") ?? "";
  const book = id === undefined ? null : await getBook(id, signal);
  const status = h("p.status", {});
  const result = h("div.result", {});
  const content = h(
    "div.answers",
    {},
    h("nav.trail", { "aria-label": "Where you are" }, h("a", { href: "#/" }, "Shelf"), book && [" / ", h("a", { href: `#/books/${id}` }, book.title)]),
    h("h1.visually-hidden", { tabindex: "-1" }, question),
    askForm(book, question),
    status,
    result,
  );
  noteQuestion(book, question);
  const key = `${id ?? ""}\n${question}`;
  if (replies.has(key)) showReply(replies.get(key));
  else follow();

  async function follow() {
    const asked = book === null ? "your shelf" : book.title;
    status.replaceChildren(h("span.working", {}), `Looking through ${asked}…`);
    announce(`Looking through ${asked}`);
    try {
      for await (const { event, data } of ask(question, book && [book.id], signal)) {
        if (event === "busy") status.lastChild.data = "Others are asking, too; your question waits its turn…";
        if (event === "passages") status.lastChild.data = reading(data, asked);
        if (event === "answers") drawAnswers(result, data.answers, book);
        if (event === "error") throw new Error(data.error);
        if (event === "reply") {
          if (replies.size >= MAX_KEPT) replies.delete(replies.keys().next().value);
          replies.set(key, data);
          showReply(data);
          comeBack();
          announce(summary(data, book));
          return;
        }
      }
      throw new Error("The answer was broken off.");
    } catch (error) {
      if (signal.aborted) return;
      const again = () => {
        result.replaceChildren();
        follow();
      };
      status.replaceChildren(h("span.error", {}, error.message), " ", h("button", { type: "button", onclick: again }, "Ask again"));
      announce(error.message);
    }
  }

  function showReply(reply) {
    status.replaceChildren(...scope(book));
    if (reply.answer === null) drawSilence(result, reply, book);
    else drawAnswers(result, reply.answers, book);
  }

  return {
    title: question,
    content,
    keys: { j: () => step(result, 1), k: () => step(result, -1) },
    parent: book === null ? "#/" : `#/books/${id}`,
  };
}

function reading({ count, books }, asked) {
  const passages = count === 1 ? "1 passage" : `${count} passages`;
  return books.length > 1 ? `Reading ${passages} of ${books.length} books…` : `Reading ${passages} of ${asked}…`;
}

function summary(reply, book) {
  if (reply.answer === null) return `${book?.title ?? "Your shelf"} doesn’t say. Nearest guesses: ${reply.answers.length}.`;
  const [best] = reply.answers;
  return `${oneLine(best.text)}. ${sureness(best.score)}. ${best.book.title}, ${placeName(best)}. ${reply.answers.length} answers.`;
}

/** What the answers come from, where that isn't all. */
function scope(book) {
  if (book === null || book.until === null) return [];
  return [icon("bookmark"), "From what you’ve read, into ", h("q", {}, book.contents[book.until.chapter].title), "."];
}

function drawAnswers(place, answers, book) {
  const [best, ...others] = answers;
  const focused = place.contains(document.activeElement) ? document.activeElement.id : null;
  place.replaceChildren(
    ...(best === undefined ? [] : [answerCard(best, 0, book, true)]),
    ...(others.length === 0
      ? []
      : [
          h(
            "section.others",
            { "aria-labelledby": "others-title" },
            h("h2", { id: "others-title" }, "Other answers"),
            others.map((answer, number) => answerCard(answer, number + 1, book, false)),
          ),
        ]),
  );
  if (focused !== null) document.getElementById(focused)?.focus({ preventScroll: true });
}

function drawSilence(place, reply, book) {
  const read = book !== null && book.until !== null;
  place.replaceChildren(
    h(
      "section.silence",
      {},
      h("h2", {}, book === null ? "Your books don’t say." : `${book.title} doesn’t say${read ? ", as far as you’ve read" : ""}.`),
      h("p", {}, "Nothing in it answers this well enough to be trusted. Other words, or a simpler question, may help."),
      reply.answers.length === 0
        ? null
        : h(
            "details",
            {},
            h("summary", {}, reply.answers.length === 1 ? "The nearest guess" : `The ${reply.answers.length} nearest guesses`),
            reply.answers.map((answer, number) => answerCard(answer, number, book, false)),
          ),
    ),
  );
}

function answerCard(answer, number, book, isBest) {
  const open = (event) => {
    const isElsewhere = event.target.closest("a") !== null || String(getSelection()) !== "";
    if (!isElsewhere) card.querySelector("a").click();
  };
  const card = h(
    `article.answer${isBest ? ".best" : ""}`,
    { onclick: open },
    h(isBest ? "h2.says" : "h3.says", {}, h("a", { id: `answer-${number}`, href: address(answer) }, oneLine(answer.text))),
    sure(answer.score),
    h("blockquote", {}, passage(answer, isBest)),
    h(
      "footer",
      {},
      h("cite", {}, book === null ? [h("span.of", {}, answer.book.title), ", "] : null, placeName(answer)),
      elsewhere(answer),
      h("span.open", { "aria-hidden": "true" }, "Open the book here", icon("next")),
    ),
  );
  return card;
}

function address({ book, chapter, start, end }, place = { chapter, start, end }) {
  return `#/books/${book.id}/read/${place.chapter.index}?start=${place.start}&end=${place.end}`;
}

const placeName = ({ chapter, page }) => (page === null || page === undefined ? chapter.title : `${chapter.title}, p. ${page}`);

/** The other places that say the same. */
function elsewhere(answer) {
  const others = answer.places.slice(1);
  if (others.length === 0) return null;
  const shown = others.slice(0, 4).map((place) => [" ", h("a", { href: address(answer, place) }, placeName(place))]);
  return h("span.elsewhere", {}, "Also:", shown, others.length > 4 ? ` and ${others.length - 4} more` : null);
}

function sureness(score) {
  const words = score >= 0.85 ? "Very sure" : score >= 0.6 ? "Fairly sure" : score >= 0.35 ? "Not very sure" : "A guess";
  return `${words}, ${Math.round(score * 100)}%`;
}

function sure(score) {
  const bar = h("span.bar", { "aria-hidden": "true" }, h("span", {}));
  bar.firstChild.style.width = `${Math.round(score * 100)}%`;
  return h("p.sure", {}, bar, sureness(score));
}

/** The answer marked in what stands around it in its passage. */
function passage({ passage: { text, start: from }, start, end }, isBest) {
  const around = isBest ? AROUND_BEST : AROUND;
  const before = slicePoints(text, 0, start - from);
  const marked = slicePoints(text, start - from, end - from);
  const after = slicePoints(text, end - from);
  return [tail(before, around), h("mark", {}, marked), head(after, around)];
}

/** The beginning of a text, up to the end of a word; of a paragraph, where that isn't far off. */
function head(text, length) {
  if (text.length <= length) return text;
  const shown = text.slice(0, length);
  const paragraph = shown.lastIndexOf("\n\n");
  return paragraph > length / 3 ? shown.slice(0, paragraph) : `${shown.replace(/\s+\S*$/, "")} …`;
}

/** The end of a text; as `head`. */
function tail(text, length) {
  if (text.length <= length) return text;
  const shown = text.slice(-length);
  const paragraph = shown.indexOf("\n\n");
  return paragraph !== -1 && paragraph < (length * 2) / 3
    ? shown.slice(paragraph + 2)
    : `… ${shown.replace(/^\S*\s+/, "")}`;
}

const oneLine = (text) => text.split(/\s+/).join(" ");

/** Put the focus on the next answer, or the one before. */
function step(place, by) {
  const links = [...place.querySelectorAll(".says a")].filter((link) => link.checkVisibility?.() ?? link.offsetParent);
  const at = links.findIndex((link) => link.closest("article").contains(document.activeElement));
  const next = links[at === -1 ? (by > 0 ? 0 : links.length - 1) : at + by];
  next?.focus({ preventScroll: true });
  next?.closest("article").scrollIntoView({ block: "nearest" });
}

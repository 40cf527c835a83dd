/** Starts the page: which view an address shows, the keyboard, the server's absence, dropped files. */

import { ping, server } from "./api.js";
import { showAnswers } from "./answers.js";
import { showBook } from "./book.js";
import { openDisplay, openKeys } from "./dialogs.js";
import { h } from "./dom.js";
import { showReader } from "./reader.js";
import { goBack, leave, navigate, arrive } from "./navigation.js";
import { showShelf } from "./shelf.js";
import { addFiles } from "./uploads.js";

const ROUTES = [
  [/^\/$/, "shelf", showShelf],
  [/^\/ask$/, "answers", showAnswers],
  [/^\/books\/(\d+)$/, "book", showBook],
  [/^\/books\/(\d+)\/ask$/, "answers", showAnswers],
  [/^\/books\/(\d+)\/read(?:\/(\d+))?$/, "reader", showReader],
];

const main = document.getElementById("main");
let view = { keys: {}, parent: null };
let leaving = new AbortController();

/**
 * Show what the address names.
 *
 * A view is a function of {book, chapter, query, signal}: `signal` is aborted when the view is left.
 * It gives {title, content, keys, parent, shown}: `content` to be seen, `keys` what keys do, `parent`
 * the address that Esc leads to, and `shown`, called with whether the reader came back to it.
 */
async function show() {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const [path, query] = location.hash.slice(1).split("?");
  const [pattern, name, build] = ROUTES.find(([route]) => route.test(path)) ?? ROUTES[0];
  const [book, chapter] = (pattern.exec(path) ?? []).slice(1).map((part) => part && Number(part));
  const settle = arrive();
  try {
    view = await build({ book, chapter, query: new URLSearchParams(query), signal });
  } catch (error) {
    if (signal.aborted) return;
    view = problem(error);
  }
  if (signal.aborted) return;
  document.body.dataset.view = name;
  document.title = view.title === "" ? "squadlite" : `${view.title} · squadlite`;
  main.replaceChildren(view.content);
  settle(view);
}

function problem(error) {
  const content = h(
    "section.notice",
    {},
    h("h1", { tabindex: "-1" }, error.status === 401 ? "This page is locked" : "That didn’t work"),
    h(
      "p",
      {},
      error.status === 401
        ? "Open it by the link, or the QR code, that squadlite serve shows in the terminal."
        : error.message,
    ),
    h("p", {}, h("a.button", { href: "#/" }, "To the shelf")),
  );
  return { title: "", content, keys: {}, parent: "#/" };
}

const isTyping = (element) => element.matches("input:not([type=radio]), textarea, select");

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (isTyping(event.target)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const action = { "?": openKeys, Escape: () => goBack(view.parent), "/": focusAsk, ...view.keys }[event.key];
  if (action === undefined) return;
  event.preventDefault();
  action();
}

function focusAsk() {
  const field = document.querySelector("[name=question]");
  field?.focus();
  field?.select();
}

function watchServer() {
  const gone = document.getElementById("gone");
  server.addEventListener("gone", () => {
    gone.replaceChildren(
      h("strong", {}, "squadlite isn’t answering."),
      " Is it still running? Start it again in a terminal with ",
      h("code", {}, "squadlite serve"),
      "; this page goes on by itself.",
    );
  });
  server.addEventListener("back", () => {
    gone.replaceChildren();
    // What was asked for while it was gone is asked for again.
    if (main.querySelector(".notice")) show();
  });
  const look = () => document.visibilityState === "visible" && ping();
  setInterval(look, 5000);
  document.addEventListener("visibilitychange", look);
}

async function keepPage() {
  // Browsers keep pages of safe addresses alone: this machine's own, but not another's without TLS.
  if (!("serviceWorker" in navigator)) return;
  const worker = navigator.serviceWorker;
  const isOurs = worker.controller
    ? Promise.resolve()
    : new Promise((resolve) => worker.addEventListener("controllerchange", resolve, { once: true }));
  await worker.register("/worker.js");
  await isOurs;
  // What was loaded before the worker was there goes through it now.
  const own = performance.getEntriesByType("resource").map(({ name }) => new URL(name).pathname);
  for (const path of new Set(["/", ...own.filter((name) => !name.startsWith("/api"))])) fetch(path);
}

function watchDrops() {
  const drop = document.getElementById("drop");
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  let inside = 0;
  const move = (change) => (event) => {
    if (!hasFiles(event)) return;
    inside += change;
    drop.hidden = inside === 0;
  };
  addEventListener("dragenter", move(1));
  addEventListener("dragleave", move(-1));
  addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    inside = 0;
    drop.hidden = true;
    addFiles([...event.dataTransfer.files]);
    navigate("#/");
  });
}

// A token that opened the page stays in a cookie; in the address it would be copied and kept.
if (location.search) history.replaceState(history.state, "", location.pathname + location.hash);

addEventListener("hashchange", show);
addEventListener("squadlite:again", show);
addEventListener("pagehide", leave);
document.addEventListener("click", leave, { capture: true });
document.addEventListener("keydown", onKey);
document.getElementById("skip").addEventListener("click", () => main.focus());
document.getElementById("open-display").addEventListener("click", openDisplay);
document.getElementById("open-keys").addEventListener("click", openKeys);
watchServer();
watchDrops();
keepPage().catch(() => {}); // the page does without
show();

/** The server's HTTP interface, which docs/http.md describes. */

/** What the server refused, or that it is gone; `message` is a line for the reader. */
export class ServerError extends Error {
  constructor(message, status = 0, retryAfter = 0) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/** Tells of `gone` and `back` as the server stops answering and answers again. */
export const server = new EventTarget();

let isGone = false;

function noteServer(gone) {
  if (gone === isGone) return;
  isGone = gone;
  server.dispatchEvent(new Event(gone ? "gone" : "back"));
}

/** Find out whether the server still answers; `server` tells. */
export async function ping() {
  try {
    await fetch("/icon.svg", { method: "HEAD", cache: "no-store", signal: timeout(5000) });
    noteServer(false);
  } catch {
    noteServer(true);
  }
}

function timeout(milliseconds) {
  const controller = new AbortController();
  setTimeout(() => controller.abort(), milliseconds);
  return controller.signal;
}

async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    throw lost(error, options.signal);
  }
  noteServer(false);
  if (response.ok) return response;
  const body = await response.json().catch(() => ({}));
  const message = body.error ?? `The server answered ${response.status}.`;
  throw new ServerError(message, response.status, Number(response.headers.get("Retry-After")) || 0);
}

/** The error to throw for a connection that broke; one that we closed ourselves stays as it is. */
function lost(error, signal) {
  if (signal?.aborted) return error;
  noteServer(true);
  return new ServerError("squadlite isn’t answering.");
}

async function get(path, signal) {
  return (await request(path, { signal })).json();
}

function json(method, value, options = {}) {
  const headers = { "Content-Type": "application/json" };
  return { method, headers, body: JSON.stringify(value), ...options };
}

/** Yield the server-sent events of a reply as {event, data}. */
async function* events(path, options) {
  const response = await request(path, options);
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let waiting = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      waiting += decoder.decode(value, { stream: true }).replaceAll("\r", "");
      const blocks = waiting.split("\n\n");
      waiting = blocks.pop();
      for (const block of blocks) {
        const event = parseEvent(block);
        if (event !== null) yield event;
      }
    }
  } catch (error) {
    throw lost(error, options.signal);
  } finally {
    reader.cancel().catch(() => {});
  }
}

function parseEvent(block) {
  let event = "message";
  const data = [];
  for (const line of block.split("\n")) {
    const [, field, value] = /^(\w+): ?(.*)$/.exec(line) ?? [];
    if (field === "event") event = value;
    if (field === "data") data.push(value);
  }
  return data.length ? { event, data: JSON.parse(data.join("\n")) } : null;
}

const wait = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

/** Do it again, as often and as late as the server asks, while it is busy. */
async function* whenFree(signal, start) {
  for (let attempt = 0; ; attempt += 1) {
    try {
      yield* start();
      return;
    } catch (error) {
      if (error.status !== 503 || attempt === 20 || signal?.aborted) throw error;
      yield { event: "busy", data: {} };
      await wait(Math.min(error.retryAfter || 1, 10));
    }
  }
}

export const listBooks = async (signal) => (await get("/api/books", signal)).books;
export const getBook = (book, signal) => get(`/api/books/${book}`, signal);
export const getChapter = (book, chapter, signal) =>
  get(`/api/books/${book}/chapters/${chapter}`, signal);
export const getPeople = async (book, signal) =>
  (await get(`/api/books/${book}/people`, signal)).people;
export const removeBook = (book) => request(`/api/books/${book}`, { method: "DELETE" });
export const putUntil = (book, until) => request(`/api/books/${book}/until`, json("PUT", until));

/** Keep the reader's place; `keepalive` lets it arrive though the page is being closed. */
export const putPosition = (book, position) =>
  request(`/api/books/${book}/position`, json("PUT", position, { keepalive: true }));

/**
 * Ask a question: yields `passages`, `answers`, then `reply`; `busy` while the question waits.
 *
 * @param {string} question - as it was typed.
 * @param {number[]|null} books - of which books; null: of the whole shelf.
 * @param {AbortSignal} signal - cancels it, on the server too.
 */
export function ask(question, books, signal) {
  return whenFree(signal, () =>
    events("/api/questions", json("POST", { question, books }, { signal })),
  );
}

/** Add a book: yields `progress`, then `book`; `busy` while it waits. */
export function upload(file) {
  return whenFree(null, async function* () {
    const response = await request("/api/books", {
      method: "POST",
      headers: {
        "Content-Type": "application/octet-stream",
        "X-Filename": encodeURIComponent(file.name),
      },
      body: file,
    });
    const { upload: id } = await response.json();
    yield* events(`/api/uploads/${encodeURIComponent(id)}`, {});
  });
}

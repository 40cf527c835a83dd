/** The files that are being added, one after another. */

import { upload } from "./api.js";
import { announce } from "./dom.js";

/** Tells of `change` whenever the list, or one of it, changes, and of `added` for a new book. */
export const uploads = new EventTarget();

/** What is being added: {name, what, done, total, error}. */
export const pending = [];

let isRunning = false;

/** Add files to the library. */
export function addFiles(files) {
  for (const file of files) {
    pending.push({ file, name: file.name, what: "Waiting", done: 0, total: 0, error: null });
  }
  changed();
  run();
}

/** Take a file that couldn't be added off the list. */
export function dismiss(entry) {
  pending.splice(pending.indexOf(entry), 1);
  changed();
}

function changed() {
  uploads.dispatchEvent(new Event("change"));
}

async function run() {
  if (isRunning) return;
  isRunning = true;
  let entry;
  while ((entry = pending.find(({ file }) => file !== null)) !== undefined) {
    await add(entry);
  }
  isRunning = false;
}

async function add(entry) {
  const { file } = entry;
  entry.what = "Sending";
  changed();
  try {
    for await (const { event, data } of upload(file)) {
      if (event === "progress") Object.assign(entry, data);
      if (event === "busy") entry.what = "Waiting for the server";
      if (event === "error") throw new Error(data.error);
      if (event === "book") {
        pending.splice(pending.indexOf(entry), 1);
        announce(`Added ${data.title}.`);
        uploads.dispatchEvent(new CustomEvent("added", { detail: data }));
      }
      changed();
    }
    // A stream that ends without either: the server was stopped.
    if (pending.includes(entry)) throw new Error("It was broken off.");
  } catch (error) {
    entry.error = error.message;
    announce(`${entry.name} was not added: ${error.message}`);
  } finally {
    entry.file = null;
    changed();
  }
}

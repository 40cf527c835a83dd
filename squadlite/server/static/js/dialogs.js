/** The dialogs that every view has: the display, and what the keys do. */

import { h, openDialog } from "./dom.js";
import { display, setDisplay } from "./storage.js";

const THEMES = { auto: "As the device", light: "Light", dark: "Dark" };
const SIZES = 6;

const KEYS = [
  ["/", "Ask a question"],
  ["j, k", "Next answer, the one before"],
  ["Enter", "Open the book at the answer"],
  ["Esc", "Back"],
  ["←, →", "In the book: chapter before, next chapter"],
  ["c", "In the book: contents"],
  ["b", "In the book: I’ve read up to here"],
  ["?", "This list"],
];

/** Choose the theme and the size of the text. */
export function openDisplay() {
  const { theme, size } = display();
  const choice = ([value, words]) => [
    h("input", {
      type: "radio",
      name: "theme",
      id: `theme-${value}`,
      checked: value === theme,
      onchange: () => setDisplay({ theme: value }),
    }),
    h("label", { for: `theme-${value}` }, words),
  ];
  const slider = h("input", {
    type: "range",
    id: "size",
    min: 0,
    max: SIZES - 1,
    value: size,
    oninput: (event) => setDisplay({ size: Number(event.target.value) }),
  });
  openDialog("display", "Text and theme", () => [
    h("fieldset", {}, h("legend", {}, "Theme"), h("div.choice", {}, Object.entries(THEMES).map(choice))),
    h("div.size", {}, h("label", { for: "size" }, "Size of the book’s text"), h("div", {}, h("span.small", { "aria-hidden": "true" }, "A"), slider, h("span.large", { "aria-hidden": "true" }, "A"))),
  ]);
}

/** Say what the keys do. */
export function openKeys() {
  openDialog("keys", "Keys", () => [
    h("dl", {}, KEYS.map(([keys, does]) => h("div", {}, h("dt", {}, keys.split(", ").map((key, number) => [number ? " " : "", h("kbd", {}, key)])), h("dd", {}, does)))),
  ]);
}

/** Elements made without markup: text never becomes HTML. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * Make an element.
 *
 * @param {string} tag - its name, with classes after dots: "p.answer".
 * @param {object} properties - attributes; functions named on… listen; null and false leave one out.
 * @param {...(Node|string|null|Array)} children - what it holds.
 */
export function h(tag, properties = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  return fill(document.createElement(name), classes, properties, children);
}

/** Make an element of a drawing; as `h`. */
export function svg(tag, properties = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  return fill(document.createElementNS(SVG, name), classes, properties, children);
}

function fill(element, classes, properties, children) {
  if (classes.length) element.classList.add(...classes);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== false));
  return element;
}

const ICONS = {
  back: "M15 5l-7 7 7 7",
  next: "M9 5l7 7-7 7",
  contents: "M4 6h16M4 12h16M4 18h10",
  ask: "M11 4a7 7 0 1 0 0 14a7 7 0 0 0 0-14M16 16l4.5 4.5",
  add: "M12 5v14M5 12h14",
  close: "M6 6l12 12M18 6L6 18",
  bookmark: "M7 4h10v16l-5-4-5 4z",
};

/** A small drawing beside a control's words, or in their place where the control has a label. */
export function icon(name) {
  return svg("svg.icon", { viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: ICONS[name] }));
}

/** Have a screen reader say something that is seen anyway. */
export function announce(text) {
  document.getElementById("announcer").textContent = text;
}

let toastTimer;

/** Say at the bottom of the screen what was done, with a way to undo it. */
export function toast(text, undo = null) {
  const place = document.getElementById("toast");
  const hide = () => place.replaceChildren();
  place.replaceChildren(
    h("p", {}, text),
    undo === null ? "" : h("button", { type: "button", onclick: () => (hide(), undo()) }, "Undo"),
  );
  clearTimeout(toastTimer);
  toastTimer = setTimeout(hide, 8000);
}

/**
 * Show a dialog until it is closed; Esc closes it, and so does a click beside it.
 *
 * @param {string} name - its class and what it is labelled by.
 * @param {string} title - its heading.
 * @param {function(function): Array} content - given what closes it, what it holds.
 */
export function openDialog(name, title, content) {
  const close = () => dialog.close();
  const dialog = h(
    `dialog.${name}`,
    {
      "aria-labelledby": `${name}-title`,
      onclose: () => dialog.remove(),
      onclick: (event) => event.target === dialog && close(),
    },
    h(
      "div.sheet",
      {},
      h(
        "header",
        {},
        h("h2", { id: `${name}-title` }, title),
        h("button.quiet", { type: "button", "aria-label": "Close", onclick: close }, icon("close")),
      ),
      content(close),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

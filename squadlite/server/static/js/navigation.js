/** Going to addresses and back, to the same place on the page and the same element. */

history.scrollRestoration = "manual";

let depth = 0;
let isFirst = true;
let isSettled = false;

/** Go to an address of this page ("#/…"); to the one shown already: show it anew. */
export function navigate(address) {
  leave();
  if (address === location.hash) dispatchEvent(new Event("squadlite:again"));
  else location.hash = address;
}

/** Go back to where the reader came from, or, from an address opened directly, to its parent. */
export function goBack(parent) {
  if (depth > 0) history.back();
  else if (parent !== null) navigate(parent);
}

/** Note, before an address is left, where on it the reader was. */
export function leave() {
  // A page left before it was seen has no place to come back to.
  if (!isSettled) return;
  const focus = document.activeElement?.id || null;
  history.replaceState({ depth, scroll: scrollY, focus }, "");
}

/** Note that an address was come to; returns what puts the reader where they were on it. */
export function arrive() {
  const kept = history.state;
  depth = kept?.depth ?? (isFirst ? 0 : depth + 1);
  history.replaceState({ scroll: null, focus: null, ...kept, depth }, "");
  const isFresh = (kept?.scroll ?? null) === null;
  const focuses = !isFirst;
  isFirst = false;
  isSettled = false;
  return ({ shown }) => {
    scrollTo(0, 0);
    // Screen readers go on from the focus, which was on what is no longer there.
    if (focuses) document.querySelector("main h1")?.focus({ preventScroll: true });
    comeBack();
    shown?.(!isFresh);
    isSettled = true;
  };
}

/** Put the reader where they were, unless they went on; what comes late needs it once more. */
export function comeBack() {
  const { scroll, focus } = history.state;
  if (scroll === null) return;
  if (scrollY === 0) scrollTo(0, scroll);
  if (focus === null || document.activeElement?.matches("input, textarea, .says a")) return;
  document.getElementById(focus)?.focus({ preventScroll: true });
}

/* Sets the theme and the size of the text that were chosen, before anything is drawn. */
(() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");

  function apply() {
    let display = {};
    try {
      display = JSON.parse(localStorage.getItem("squadlite.display")) ?? {};
    } catch {
      // Storage may be forbidden, or hold what isn't ours: the page works without.
    }
    const isDark = display.theme === "dark" || (display.theme !== "light" && system.matches);
    root.dataset.theme = isDark ? "dark" : "light";
    root.dataset.size = display.size ?? 2;
    document
      .querySelector("meta[name=theme-color]")
      .setAttribute("content", isDark ? "#171513" : "#faf7f1");
  }

  apply();
  system.addEventListener("change", apply);
  addEventListener("storage", apply);
  addEventListener("squadlite:display", apply);
})();

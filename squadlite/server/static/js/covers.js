/** A book's cover: its own, or one drawn from its title. */

import { h, svg } from "./dom.js";

// Ground, ink, accent and shade: cloth, foil and print of old bindings. Ink on ground is AA.
const PALETTES = [
  ["#1f3a4d", "#f3e7cf", "#d9a441", "#16303f"],
  ["#6d2a26", "#f6e8d3", "#dfae5f", "#59201d"],
  ["#2f4a3a", "#f1ead2", "#cfa655", "#243c2e"],
  ["#e9dfc8", "#3a2c22", "#a5432f", "#d9cdb0"],
  ["#3b3355", "#efe6dc", "#d2996b", "#2f2945"],
  ["#c9bfa6", "#26313a", "#7b2f2a", "#b8ad92"],
  ["#1d2b33", "#e8e1d0", "#7fa6a3", "#14212a"],
  ["#8a4b2a", "#fbeed8", "#f0c47c", "#743d20"],
  ["#d7dcd3", "#22372f", "#3f7a66", "#c4cbc0"],
  ["#4b1f35", "#f4e4dc", "#d48f7f", "#3d182a"],
];

const WIDTH = 200;
const HEIGHT = 300;

/** Numbers that look random and are the same for the same text. */
function randomFrom(text) {
  let state = 0x811c9dc5;
  for (const character of text) {
    state = Math.imul(state ^ character.codePointAt(0), 0x01000193);
  }
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const range = (count) => Array.from({ length: count }, (_, number) => number);
const line = (d, part, width = 1.2) =>
  svg(`path.${part}`, { d, fill: "none", "stroke-width": width, "stroke-linecap": "round" });

/** A sun over the sea. */
function sea(random) {
  const x = 60 + random() * 80;
  const waves = range(9).map((row) => {
    const y = 196 + row * 10;
    const shift = -40 + random() * 20;
    const crests = range(14).map(() => "q10 -7 20 0").join("");
    return line(`M${shift} ${y}${crests}`, "ink-line", 1 + row * 0.14);
  });
  return [
    svg("circle.accent", { cx: x, cy: 184, r: 30 }),
    svg("rect.ground", { x: 0, y: 188, width: WIDTH, height: 112 }),
    waves,
  ];
}

/** Ridges of hills under a moon. */
function hills(random) {
  const ridge = (base, height, part, opacity) => {
    const points = range(9).map((step) => `${step * 25} ${base - random() * height}`);
    return svg(`path.${part}`, { d: `M0 300L${points.join("L")}L200 300Z`, opacity });
  };
  return [
    svg("circle.accent", { cx: 50 + random() * 100, cy: 158, r: 16 }),
    ridge(214, 34, "ink", 0.22),
    ridge(236, 30, "ink", 0.32),
    ridge(262, 26, "shade", 1),
  ];
}

/** Rows of overlapping scales. */
function scales(random) {
  const size = 25 + Math.floor(random() * 2) * 8.34;
  const rows = Math.ceil(120 / (size / 2)) + 1;
  return range(rows).map((row) =>
    range(Math.ceil(WIDTH / size) + 2).map((column) => {
      const cx = (column - 0.5 * (row % 2)) * size;
      const cy = 186 + row * (size / 2);
      return [
        svg("circle.ground", { cx, cy, r: size / 2 }),
        [0.5, 0.36, 0.22].map((share, ring) =>
          svg(`circle.${ring === 1 ? "accent-line" : "ink-line"}`, {
            cx, cy, r: size * share, fill: "none", "stroke-width": 1.1,
          }),
        ),
      ];
    }),
  );
}

/** Rays of a rising sun. */
function rays(random) {
  const count = 22 + Math.floor(random() * 5) * 2;
  const lines = range(count + 1).map((step) => {
    const angle = Math.PI * (step / count);
    const [x, y] = [Math.cos(angle), -Math.sin(angle)];
    const long = step % 2 ? 108 : 92;
    const d = `M${100 + x * 42} ${250 + y * 42}L${100 + x * long} ${250 + y * long}`;
    return line(d, step % 2 ? "ink-line" : "accent-line", 1.6);
  });
  return [
    lines,
    svg("path.accent", { d: "M66 250a34 34 0 0 1 68 0z" }),
    line("M20 250H180", "ink-line", 1.6),
  ];
}

/** A branch with leaves. */
function branch(random) {
  const lean = random() < 0.5 ? 1 : -1;
  const leaves = range(9).map((step) => {
    const y = 240 - step * 10;
    const side = step % 2 ? 1 : -1;
    const x = 100 + lean * 10 * Math.sin(step / 3);
    const turn = side * (58 - step * 4);
    return svg(`path.${step % 3 === 1 ? "accent" : "ink"}`, {
      d: "M0 0C9 -8 11 -24 0 -36C-11 -24 -9 -8 0 0Z",
      transform: `translate(${x} ${y}) rotate(${turn})`,
      opacity: step % 3 === 1 ? 1 : 0.82,
    });
  });
  return [line(`M100 262C${100 + lean * 14} 228 ${100 + lean * 14} 190 100 150`, "ink-line", 1.8), leaves];
}

/** A lozenge of foil, as on a cloth binding. */
function lozenge(random) {
  const petals = 6 + Math.floor(random() * 3) * 2;
  const leaf = (length, part, opacity) =>
    range(petals).map((step) =>
      svg(`path.${part}`, {
        d: `M0 0C${length / 3.4} ${-length / 3} ${length / 3.4} ${-length / 1.5} 0 ${-length}C${-length / 3.4} ${-length / 1.5} ${-length / 3.4} ${-length / 3} 0 0Z`,
        transform: `translate(100 200) rotate(${(360 / petals) * step})`,
        opacity,
      }),
    );
  return [
    svg("circle.accent-line", { cx: 100, cy: 200, r: 52, fill: "none", "stroke-width": 1.2 }),
    svg("circle.accent-line", { cx: 100, cy: 200, r: 48, fill: "none", "stroke-width": 0.6 }),
    leaf(44, "accent", 0.9),
    leaf(24, "ink", 0.9),
    svg("circle.ground", { cx: 100, cy: 200, r: 5 }),
  ];
}

const MOTIFS = [sea, hills, scales, rays, branch, lozenge];

function drawn(book) {
  const random = randomFrom(`${book.title}\n${book.author}`);
  const [ground, ink, accent, shade] = PALETTES[Math.floor(random() * PALETTES.length)];
  const motif = MOTIFS[Math.floor(random() * MOTIFS.length)];
  const art = svg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "xMidYMid slice", "aria-hidden": "true" },
    // A drawing in the drawing cuts off what goes beyond the frame.
    svg("svg", { x: 12.5, y: 120, width: 175, height: 142, viewBox: "12.5 120 175 142" }, motif(random)),
    line("M12.5 262H187.5", "accent-line", 0.5),
    svg("rect.accent-line", { x: 9, y: 9, width: 182, height: 282, fill: "none", "stroke-width": 1.2 }),
    svg("rect.accent-line", { x: 12.5, y: 12.5, width: 175, height: 275, fill: "none", "stroke-width": 0.5 }),
  );
  const cover = h(
    "div.cover.drawn",
    { "aria-hidden": "true", "data-length": titleLength(book.title) },
    art,
    h("div.cover-title", {}, book.title),
    h("div.cover-author", {}, book.author),
  );
  for (const [name, colour] of Object.entries({ ground, ink, accent, shade })) {
    cover.style.setProperty(`--cover-${name}`, colour);
  }
  return cover;
}

function titleLength(title) {
  const longest = Math.max(...title.split(/\s+/).map((word) => word.length));
  if (title.length > 60) return "longest";
  if (title.length > 34 || longest > 11) return "long";
  return title.length > 14 ? "medium" : "short";
}

/** The cover of a book; it says nothing that isn't said beside it. */
export function cover(book) {
  if (book.cover === null) return drawn(book);
  const image = h("img", { src: book.cover, alt: "", loading: "lazy", decoding: "async" });
  const frame = h("div.cover", {}, image);
  image.addEventListener("error", () => frame.replaceWith(drawn(book)));
  return frame;
}

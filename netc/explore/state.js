// Data of the page, and what is selected. Every pane listens to the selection; none knows another.

const element = (name, attributes = {}, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
};

const shape = (name, attributes = {}, ...children) => {
  const made = document.createElementNS("http:" + "//www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
};

const unpacked = async (name) => {
  const packed = document.getElementById(`data-${name}`).textContent;
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).json();
};

const meets = (set, numbers) => numbers.some((number) => set.has(number));

const bytesText = (count) => {
  const units = ["B", "KiB", "MiB", "GiB"];
  let unit = 0;
  while (count >= 1024 && unit < units.length - 1) { count /= 1024; unit += 1; }
  return `${count >= 100 || unit === 0 ? Math.round(count) : count.toPrecision(3)} ${units[unit]}`;
};

const timeText = (seconds) =>
  seconds >= 1e-3 ? `${(seconds * 1e3).toPrecision(3)} ms`
    : seconds >= 1e-7 ? `${(seconds * 1e6).toPrecision(3)} µs` : `${Math.round(seconds * 1e9)} ns`;

const countText = (count) => {
  const units = ["", "k", "M", "G", "T"];
  let unit = 0;
  while (count >= 1000 && unit < units.length - 1) { count /= 1000; unit += 1; }
  return unit === 0 ? String(count) : `${count.toPrecision(3)} ${units[unit]}`;
};

class Selection {
  // by: "line" or "kernel", the side that it was made from
  constructor(by, lines, kernels, from) {
    this.by = by;
    this.lines = new Set(lines);
    this.kernels = new Set(kernels);
    this.from = from;
  }

  // Whether a piece of text that belongs to such lines and kernels is part of it.
  holds(lines, kernels) {
    if (this.by === "kernel" && kernels.length) return meets(this.kernels, kernels);
    return meets(this.lines, lines);
  }

  same(other) {
    const equal = (a, b) => a.size === b.size && [...a].every((number) => b.has(number));
    return this.by === other.by && equal(this.lines, other.lines) && equal(this.kernels, other.kernels);
  }
}

const state = {
  program: null,
  data: null,
  pinned: null,
  pointed: null,
  listeners: [],
  get selection() { return this.pointed || this.pinned; },

  ofLine(line, from) {
    const kernels = this.data.kernels.flatMap((kernel, number) =>
      this.data.lines[kernel.lines].includes(line) ? [number] : []);
    return new Selection("line", [line], kernels, from);
  },
  ofKernels(numbers, from) {
    const lines = numbers.flatMap((number) => this.data.lines[this.data.kernels[number].lines]);
    return new Selection("kernel", lines, numbers, from);
  },
  // What a piece of text stands for: its kernels with its own lines, else its lines.
  ofPiece(lines, kernels, from) {
    if (kernels.length) return new Selection("kernel", lines, kernels, from);
    if (!lines.length) return null;
    const found = lines.map((line) => this.ofLine(line, from));
    return new Selection("line", lines, found.flatMap((one) => [...one.kernels]), from);
  },

  point(selection) {
    const before = this.pointed;
    if (!before && !selection) return;
    if (before && selection && before.same(selection)) return;
    this.pointed = selection;
    this.tell(false);
  },
  pin(selection) {
    const again = this.pinned && selection && this.pinned.same(selection);
    this.pinned = again ? null : selection;
    this.pointed = null;
    this.tell(true);
  },
  tell(moved) {
    for (const listener of this.listeners) listener(this.selection, moved);
  },
};

// Hues far apart for neighbouring lines, the same for a line in every pane and function.
const hues = new Map();
const findHues = () => {
  hues.clear();
  for (const line of new Set(state.data.lines.flat())) hues.set(line, Math.round((line * 137.5) % 360));
};
const paint = (target, line) => {
  if (hues.has(line)) {
    target.classList.add("tint");
    target.style.setProperty("--h", hues.get(line));
  }
};

// A line as people count, with the name of its text where there are several.
const lineText = (line) => {
  const texts = state.program.texts;
  const text = [...texts].reverse().find((one) => one.first <= line);
  const number = line - text.first + 1;
  const name = text.name.split("/").pop().replace(/\.net$/, "");
  return text === texts[0] ? String(number) : `${name}:${number}`;
};
// The lines of a list in its order, the one that gives the colour first; those of a set sorted.
const linesText = (lines) => {
  const numbers = lines instanceof Set ? [...lines].sort((a, b) => a - b) : lines;
  return numbers.map(lineText).join(", ");
};

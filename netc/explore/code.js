// A text of any length: only the lines in view exist. Colours, highlights and a strip show its marks.

const LINE = 18;
const STRIP = 12;

const TOKENS = {
  net: /(#.*$)|("(?:[^"\\]|\\.)*")|\b(net|input|target|output|loss|metric|assert|train|fn|layer|param|state|const|import|from|for|in|repeat|if|then|else|optimizer|let|where)\b|\b(\d[\d_.]*(?:e[-+]?\d+)?)\b/g,
  ir: /(#.*$)|('[^']*'|"[^"]*")|\b(graph|return|kernel|plan|for|in|carrying|giving|last part|barrier|each|the first thread|live)\b|(?<![\w%])(-?\d[\d.]*(?:e[-+]?\d+)?)\b|(%\w+)/g,
  llvm: /(;.*$)|("[^"]*")|\b(define|declare|internal|br|label|phi|ret|call|load|store|getelementptr|icmp|select|add|mul|fadd|fmul|fsub|fdiv|sub|void)\b|(?<![\w%.])(-?\d[\dxA-F.]*(?:e[-+]?\d+)?)\b|([%@][\w.]+)/g,
  asm: /(#.*$)|("[^"]*")|^\s+(\.?[a-z]\w*)|(\$-?\w+|(?<![\w%])-?\d+)\b|(%\w+)/g,
};
const CLASSES = ["comment", "string", "word", "number", "name"];

// The pieces of a line, as elements; text stays text.
const coloured = (text, language) => {
  const parts = [];
  let end = 0;
  if (text.length < 400) {
    for (const found of text.matchAll(TOKENS[language])) {
      const place = found.slice(1).findIndex((group) => group !== undefined);
      const start = found.index + found[0].lastIndexOf(found[place + 1]);
      parts.push(text.slice(end, start), element("i", { class: CLASSES[place] }, found[place + 1]));
      end = start + found[place + 1].length;
    }
  }
  parts.push(text.slice(end));
  return parts;
};

class Code {
  constructor(pane, label) {
    this.pane = pane;
    this.view = element("div", { class: "code", tabindex: "0", role: "listbox", "aria-label": label });
    this.inner = element("div", { class: "lines" });
    this.strip = element("canvas", { class: "strip", "aria-hidden": "true" });
    this.view.append(this.inner);
    pane.append(element("div", { class: "text" }, this.view, this.strip));
    this.rows = [];
    this.runs = [];
    this.hits = [];
    this.active = 0;
    this.id = pane.id;
    this.view.addEventListener("scroll", () => this.draw());
    this.view.addEventListener("pointermove", (event) => this.pointed(event));
    this.view.addEventListener("pointerleave", () => state.point(null));
    this.view.addEventListener("click", (event) => this.clicked(event));
    this.view.addEventListener("keydown", (event) => this.key(event));
    this.strip.addEventListener("click", (event) => this.jump(event));
    new ResizeObserver(() => this.draw(true)).observe(this.view);
    state.listeners.push((selection, moved) => this.select(selection, moved));
  }

  // runs: { count, lines, kernels, line } in order; `line` gives the colour
  show(rows, runs, language, label) {
    this.rows = rows;
    this.language = language;
    this.runs = runs;
    this.starts = [];
    let start = 0;
    for (const run of runs) { this.starts.push(start); start += run.count; }
    this.active = 0;
    this.view.setAttribute("aria-label", label);
    this.inner.style.height = `${rows.length * LINE}px`;
    const widest = rows.reduce((most, row) => Math.max(most, row.length), 0);
    this.inner.style.minWidth = `calc(${Math.min(widest, 2000)}ch + 8rem)`;
    this.view.scrollTop = 0;
    this.view.scrollLeft = 0;
    this.select(state.selection, true);
  }

  runAt(row) {
    let low = 0;
    let high = this.starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.starts[middle] <= row) low = middle; else high = middle - 1;
    }
    return low;
  }

  select(selection, moved) {
    this.hits = this.runs.map((run) => Boolean(selection) && selection.holds(run.lines, run.kernels));
    if (moved && selection && selection.from !== this) this.reveal();
    if (moved) this.draw(true); else this.mark();
  }

  // The highlights of the lines that exist; they stay what they are, so text can be marked to copy.
  mark() {
    for (const made of this.inner.children) {
      const at = this.runAt(Number(made.dataset.row));
      made.setAttribute("aria-selected", String(Boolean(this.hits[at])));
    }
    this.drawStrip();
  }

  // Brings the first highlighted line into view, unless one is there.
  reveal() {
    const first = this.hits.indexOf(true);
    if (first < 0) return;
    const top = this.view.scrollTop / LINE;
    const bottom = top + this.view.clientHeight / LINE - 2;
    const seen = this.hits.some((hit, run) =>
      hit && this.starts[run] < bottom && this.starts[run] >= top);
    if (!seen) this.view.scrollTop = Math.max(0, (this.starts[first] - 2) * LINE);
    this.active = this.starts[first];
  }

  draw(strip = false) {
    const top = Math.max(0, Math.floor(this.view.scrollTop / LINE) - 5);
    const end = Math.min(this.rows.length, top + Math.ceil(this.view.clientHeight / LINE) + 10);
    const made = [];
    for (let row = top; row < end; row += 1) made.push(this.row(row));
    this.inner.replaceChildren(...made);
    this.view.setAttribute("aria-activedescendant", `${this.id}-${this.active}`);
    if (strip) this.drawStrip();
  }

  row(number) {
    const at = this.runAt(number);
    const run = this.runs[at] || { lines: [], kernels: [], line: -1 };
    const first = this.starts[at] === number;
    const made = element("div", {
      class: "line", role: "option", id: `${this.id}-${number}`, "data-row": number,
      "aria-posinset": number + 1, "aria-setsize": this.rows.length,
      "aria-selected": String(Boolean(this.hits[at])),
    });
    made.style.top = `${number * LINE}px`;
    made.append(element("span", { class: "count", "aria-hidden": "true" }, this.label(number)));
    if (this.language !== "net") {
      const origin = element("span", { class: "origin", "aria-hidden": "true" });
      if (first && run.lines.length) {
        origin.append(run.lines.length > 2 ? `${lineText(run.lines[0])}…` : linesText(run.lines));
      }
      made.append(origin);
    }
    made.append(...coloured(this.rows[number], this.language));
    paint(made, run.line);
    if (number === this.active) made.classList.add("active");
    if (run.lines.length && this.language !== "net") made.title = `from line ${linesText(run.lines)}`;
    return made;
  }

  label(number) { return String(number + 1); }

  drawStrip() {
    const height = this.view.clientHeight;
    this.strip.width = STRIP;
    this.strip.height = Math.max(1, height);
    const pen = this.strip.getContext("2d");
    const style = getComputedStyle(this.view);
    const [saturation, light] = [style.getPropertyValue("--s"), style.getPropertyValue("--strip")];
    const scale = Math.min(height / Math.max(1, this.rows.length), LINE);
    this.runs.forEach((run, at) => {
      const [top, size] = [this.starts[at] * scale, Math.max(1, run.count * scale)];
      if (hues.has(run.line)) {
        pen.fillStyle = `hsl(${hues.get(run.line)} ${saturation} ${light})`;
        pen.fillRect(STRIP - 4, top, 4, size);
      }
      if (this.hits[at]) {
        pen.fillStyle = style.getPropertyValue("--mark");
        pen.fillRect(0, top, STRIP - 5, Math.max(2, size));
      }
    });
    this.scale = scale;
  }

  jump(event) {
    this.view.scrollTop = (event.offsetY / this.scale) * LINE - this.view.clientHeight / 2;
  }

  rowOf(event) {
    const made = event.target.closest(".line");
    return made ? Number(made.dataset.row) : -1;
  }

  selectionOf(row) {
    const run = this.runs[this.runAt(row)];
    return run ? state.ofPiece(run.lines, run.kernels, this) : null;
  }

  pointed(event) {
    if (event.buttons) return;
    const row = this.rowOf(event);
    state.point(row < 0 ? null : this.selectionOf(row));
  }

  clicked(event) {
    const row = this.rowOf(event);
    if (row < 0 || String(getSelection())) return;
    this.active = row;
    state.pin(this.selectionOf(row));
  }

  key(event) {
    const page = Math.max(1, Math.floor(this.view.clientHeight / LINE) - 1);
    const steps = { ArrowUp: -1, ArrowDown: 1, PageUp: -page, PageDown: page, Home: -Infinity, End: Infinity };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in steps) {
      this.go(this.active + steps[event.key]);
      state.point(this.selectionOf(this.active));
    } else if (event.key === "Enter") {
      state.pin(this.selectionOf(this.active));
    } else if (event.key.toLowerCase() === "n") {
      this.next(event.shiftKey ? -1 : 1);
    } else {
      return;
    }
    event.preventDefault();
  }

  go(row) {
    this.active = Math.min(this.rows.length - 1, Math.max(0, row));
    const [top, height] = [this.active * LINE, this.view.clientHeight];
    if (top < this.view.scrollTop) this.view.scrollTop = top;
    if (top + 2 * LINE > this.view.scrollTop + height) this.view.scrollTop = top + 2 * LINE - height;
    this.draw();
  }

  // To the next or previous highlighted run.
  next(way) {
    const count = this.hits.length;
    let at = this.runAt(this.active);
    for (let tried = 0; tried < count; tried += 1) {
      at = (at + way + count) % count;
      if (this.hits[at]) { this.go(this.starts[at]); return; }
    }
  }
}

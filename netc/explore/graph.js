// The kernels of a function as boxes, with their operations inside when opened. With too many kernels
// a box is a run of kernels that follow each other; opening it draws them one by one.

const MOST_DRAWN = 240;
const MOST_OPENED = 150;
const MOST_AT_ONCE = 2500;
const RUNS = 120;
const LETTER = 6.3;

class Graph {
  constructor(pane) {
    this.pane = pane;
    this.canvas = pane.querySelector(".canvas");
    this.note = pane.querySelector(".note");
    this.check = pane.querySelector(".operations");
    this.opened = new Set();
    this.view = { x: 0, y: 0, scale: 1 };
    this.active = 0;
    const on = (name, listener, target = this.canvas) => target.addEventListener(name, listener);
    on("wheel", (event) => this.wheel(event));
    on("pointerdown", (event) => this.grab(event));
    on("pointermove", (event) => this.move(event));
    on("pointerup", (event) => this.release(event));
    on("pointercancel", () => { this.held = null; });
    on("pointerleave", () => state.point(null));
    on("dblclick", (event) => this.open(this.boxAt(event)));
    on("keydown", (event) => this.key(event));
    on("change", () => this.openAll(this.check.checked), this.check);
    on("click", () => this.zoom(1.25), pane.querySelector(".in"));
    on("click", () => this.zoom(0.8), pane.querySelector(".out"));
    on("click", () => this.fit(), pane.querySelector(".fit"));
    state.listeners.push((selection, moved) => this.select(selection, moved));
  }

  show() {
    const kernels = state.data.kernels;
    const total = kernels.reduce((sum, kernel) => sum + kernel.nodes.length, 0);
    this.summary = kernels.length > MOST_DRAWN;
    this.check.disabled = this.summary || total > MOST_AT_ONCE;
    this.check.checked = !this.summary && total <= MOST_OPENED;
    this.opened = new Set(this.check.checked ? kernels.keys() : []);
    this.unfolded = new Set();
    this.active = 0;
    this.note.textContent = this.summary
      ? `${kernels.length} kernels, in runs: more than ${MOST_DRAWN} are not drawn one by one`
      : `${kernels.length} kernels, ${total} operations`;
    this.draw();
    this.fit();
  }

  // Groups of kernel numbers, one for each box.
  groups() {
    const count = state.data.kernels.length;
    if (!this.summary) return Array.from({ length: count }, (_, n) => [n]);
    const size = Math.ceil(count / RUNS);
    const found = [];
    for (let first = 0; first < count; first += size) {
      const run = Array.from({ length: Math.min(size, count - first) }, (_, n) => first + n);
      if (this.unfolded.has(first)) found.push(...run.map((n) => [n])); else found.push(run);
    }
    return found;
  }

  draw() {
    const kernels = state.data.kernels;
    this.boxes = this.groups().map((numbers) => this.box(numbers));
    const owner = new Map(this.boxes.flatMap((box, at) => box.numbers.map((n) => [n, at])));
    const edges = new Map();
    kernels.forEach((kernel, to) => kernel.from.forEach((from) => {
      const pair = [owner.get(from), owner.get(to)];
      if (pair[0] < pair[1]) edges.set(pair.join(), pair);
    }));
    const found = layered(this.boxes, [...edges.values()]);
    this.size = found;
    this.layer = shape("g");
    this.lines = found.lines.map((path) => {
      const drawn = shape("path", { class: path.long ? "edge long" : "edge", d: path.text, "marker-end": "url(#arrow)" });
      this.layer.append(drawn);
      return { drawn, from: path.from, to: path.to };
    });
    this.boxes.forEach((box, at) => this.layer.append(this.drawBox(box, found.places[at], at)));
    const arrow = shape("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 6, markerHeight: 6, orient: "auto" },
      shape("path", { d: "M0,0L8,4L0,8z", class: "head" }));
    this.svg = shape("svg", { "aria-hidden": "false" }, shape("defs", {}, arrow), this.layer);
    this.canvas.replaceChildren(this.svg);
    this.canvas.setAttribute("aria-activedescendant", `box-${this.active}`);
    this.look();
    this.select(state.selection, false);
  }

  box(numbers) {
    const kernels = numbers.map((number) => state.data.kernels[number]);
    const [first] = kernels;
    if (numbers.length > 1) {
      const last = kernels[kernels.length - 1];
      const title = `${numbers[0]} to ${numbers[numbers.length - 1]}`;
      const what = `${first.symbol} … ${last.symbol}`;
      return { numbers, title, name: nameOf(last), what, gives: "", w: 210, h: 56 };
    }
    const [number] = numbers;
    const gives = first.writes.length ? first.writes[first.writes.length - 1].split(" : ")[1] : "";
    const more = first.writes.length > 1 ? ` +${first.writes.length - 1}` : "";
    const box = {
      numbers, title: first.symbol, name: nameOf(first), what: first.what,
      gives: gives ? `${gives}${more}` : "",
    };
    const lines = linesText(state.data.lines[first.lines]);
    const words = Math.max(box.title.length * 1.15 + Math.min(10, lines.length) + 7,
      box.name.length, box.what.length, box.gives.length + 2);
    box.w = Math.min(250, Math.max(130, words * LETTER + 26));
    box.h = 24 + 14 * [box.name, box.what, box.gives].filter(Boolean).length + 4;
    if (this.opened.has(number) && first.nodes.length) {
      const nodes = first.nodes.map((node) => ({ w: Math.max(40, node.word.length * LETTER + 14), h: 20 }));
      const edges = first.nodes.flatMap((node, to) => node.from.map((from) => [from, to]));
      box.inner = layered(nodes, edges, 10, 14);
      box.top = 30 + 14 * (box.name ? 2 : 1);
      box.w = Math.max(box.w, box.inner.width + 28);
      box.h = box.top + box.inner.height + (box.gives ? 30 : 14) + (first.left_out ? 14 : 0);
    }
    return box;
  }

  drawBox(box, place, at) {
    const kernels = state.data.kernels;
    const [x, y] = [place.x - box.w / 2, place.y - box.h / 2];
    const share = box.numbers.reduce((sum, n) => sum + shareOf(n), 0);
    const kernel = kernels[box.numbers[0]];
    const own = box.numbers.flatMap((n) => state.data.lines[kernels[n].lines]);
    const lines = linesText([...new Set(own)]);
    const group = shape("g", {
      class: box.numbers.length > 1 ? "box run" : "box", role: "option", id: `box-${at}`, "data-box": at,
      transform: `translate(${x},${y})`, "aria-selected": "false",
      "aria-label": `${box.title}, ${box.name}, ${box.what}, line ${lines || "none"}, ${percent(share)} of the ${costName()}`,
    });
    group.append(shape("rect", { class: "frame", width: box.w, height: box.h, rx: 5 }));
    group.append(shape("rect", { class: "stripe", width: 6, height: box.h, rx: 3 }));
    const write = (text, left, top, name, most) =>
      group.append(shape("text", { x: left, y: top, class: name }, cut(text, most)));
    const letters = Math.floor((box.w - 26) / LETTER);
    write(box.title, 14, 17, "title", letters);
    if (lines) {
      const label = shape("text", { x: box.w - 8, y: 17, class: "where" }, `line ${cut(lines, 10)}`);
      group.append(label);
    }
    const below = box.name ? 46 : 32;
    if (box.name) write(box.name, 14, 32, "called", letters);
    write(box.what, 14, below, "what", letters);
    if (box.gives) write(`→ ${box.gives}`, 14, box.h - 9, "gives", letters);
    if (box.inner) this.drawInner(group, box, kernel);
    group.append(shape("rect", { class: "share", x: 6, y: box.h - 3, width: Math.max(0, (box.w - 8) * share), height: 3 }));
    group.append(shape("title", {}, `${box.title}: ${box.what}\n${cut(kernel.names.join(", "), 300)}\nline ${lines || "none"}; ${percent(share)} of the ${costName()}`));
    paint(group, kernel.line);
    return group;
  }

  drawInner(group, box, kernel) {
    const left = (box.w - box.inner.width) / 2 + 3;
    const inner = shape("g", { class: "inner", transform: `translate(${left},${box.top})` });
    for (const path of box.inner.lines) inner.append(shape("path", { class: "edge", d: path.text }));
    kernel.nodes.forEach((node, at) => {
      const place = box.inner.places[at];
      const lines = state.data.lines[node.lines];
      const one = shape("g", { class: node.stored ? "op stored" : "op", "data-op": at, transform: `translate(${place.x - place.w / 2},${place.y - 10})` },
        shape("rect", { width: place.w, height: 20, rx: 9 }),
        shape("text", { x: place.w / 2, y: 14 }, node.word),
        shape("title", {}, `${node.word} : ${node.type}\n${node.name}\nline ${linesText(lines)}`));
      paint(one, lines[0]);
      inner.append(one);
    });
    if (kernel.left_out) {
      inner.append(shape("text", { x: 0, y: box.inner.height + 14, class: "what" }, `and ${kernel.left_out} more operations`));
    }
    group.append(inner);
  }

  select(selection, moved) {
    if (!this.layer) return;
    const hit = this.boxes.map((box) => Boolean(selection) && meets(selection.kernels, box.numbers));
    this.layer.querySelectorAll(".box").forEach((drawn) => {
      const at = Number(drawn.dataset.box);
      drawn.setAttribute("aria-selected", String(hit[at]));
      drawn.classList.toggle("active", at === this.active);
      const kernel = state.data.kernels[this.boxes[at].numbers[0]];
      drawn.querySelectorAll(".op").forEach((one) => {
        const lines = state.data.lines[kernel.nodes[Number(one.dataset.op)].lines];
        one.classList.toggle("hit", hit[at] && meets(selection.lines, lines));
      });
    });
    for (const { drawn, from, to } of this.lines) drawn.classList.toggle("hit", hit[from] || hit[to]);
    this.canvas.classList.toggle("chosen", hit.some(Boolean));
    if (moved && selection && selection.from !== this && hit.includes(true)) this.reveal(hit);
  }

  // Brings what is highlighted into view, if none of it is.
  reveal(hit) {
    const frame = this.canvas.getBoundingClientRect();
    const drawn = [...this.layer.querySelectorAll(".box")].filter((_, at) => hit[at]);
    const seen = drawn.some((one) => {
      const box = one.getBoundingClientRect();
      return box.left >= frame.left && box.right <= frame.right && box.top >= frame.top && box.bottom <= frame.bottom;
    });
    if (!seen) this.centre(Number(drawn[0].dataset.box));
  }

  centre(at) {
    const place = this.size.places[at];
    const { clientWidth, clientHeight } = this.canvas;
    this.view.x = clientWidth / 2 - place.x * this.view.scale;
    this.view.y = clientHeight / 2 - place.y * this.view.scale;
    this.look();
  }

  // -- view --------------------------------------------------------------------------------------

  look() {
    const { x, y, scale } = this.view;
    this.layer.setAttribute("transform", `translate(${x},${y}) scale(${scale})`);
  }

  fit() {
    const { clientWidth, clientHeight } = this.canvas;
    const whole = Math.min(clientWidth / (this.size.width + 30), clientHeight / (this.size.height + 24));
    const scale = Math.max(0.8, Math.min(1.1, whole));
    const x = Math.max(12, (clientWidth - this.size.width * scale) / 2);
    this.view = { x: this.size.width * scale > clientWidth ? (clientWidth - this.size.width * scale) / 2 : x, y: 12, scale };
    if (whole < 0.8 && this.size.places.length) {  // too large to see at once: its beginning
      this.view.x = clientWidth / 2 - this.size.places[0].x * scale;
    }
    this.look();
  }

  zoom(factor, point = null) {
    const at = point || [this.canvas.clientWidth / 2, this.canvas.clientHeight / 2];
    const scale = Math.min(4, Math.max(0.03, this.view.scale * factor));
    const ratio = scale / this.view.scale;
    this.view = { x: at[0] - (at[0] - this.view.x) * ratio, y: at[1] - (at[1] - this.view.y) * ratio, scale };
    this.look();
  }

  wheel(event) {
    event.preventDefault();
    const frame = this.canvas.getBoundingClientRect();
    this.zoom(Math.exp(-event.deltaY / 400), [event.clientX - frame.left, event.clientY - frame.top]);
  }

  grab(event) {
    this.held = { x: event.clientX, y: event.clientY, far: false };
  }

  move(event) {
    if (!this.held || !event.buttons) {
      this.held = null;
      state.point(this.selectionAt(event));
      return;
    }
    const [dx, dy] = [event.clientX - this.held.x, event.clientY - this.held.y];
    if (!this.held.far && Math.hypot(dx, dy) < 4) return;
    this.held = { x: event.clientX, y: event.clientY, far: true };
    this.view.x += dx;
    this.view.y += dy;
    this.look();
  }

  release(event) {
    const clicked = this.held && !this.held.far;
    this.held = null;
    const at = this.boxAt(event);
    if (!clicked || at < 0) return;
    this.active = at;
    state.pin(this.selectionAt(event));
  }

  boxAt(event) {
    const drawn = event.target.closest(".box");
    return drawn ? Number(drawn.dataset.box) : -1;
  }

  // A kernel, with the lines of one operation when that is pointed at.
  selectionAt(event) {
    const at = this.boxAt(event);
    if (at < 0) return null;
    const one = event.target.closest(".op");
    const { numbers } = this.boxes[at];
    if (!one) return state.ofKernels(numbers, this);
    const node = state.data.kernels[numbers[0]].nodes[Number(one.dataset.op)];
    return new Selection("kernel", state.data.lines[node.lines], numbers, this);
  }

  // -- opening and keys --------------------------------------------------------------------------

  openAll(all) {
    this.opened = new Set(all ? state.data.kernels.keys() : []);
    this.draw();
    this.fit();
  }

  open(at) {
    if (at < 0) return;
    const { numbers } = this.boxes[at];
    if (numbers.length > 1) this.unfolded.add(numbers[0]);
    else if (!this.opened.delete(numbers[0])) this.opened.add(numbers[0]);
    this.draw();
    this.centre(Math.min(at, this.boxes.length - 1));
  }

  key(event) {
    const steps = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1, Home: -Infinity, End: Infinity };
    const { key } = event;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (key in steps) this.go(this.active + steps[key]);
    else if (key === "Enter") state.pin(state.ofKernels(this.boxes[this.active].numbers, this));
    else if (key.toLowerCase() === "e") this.open(this.active);
    else if (key === "+" || key === "=") this.zoom(1.25);
    else if (key === "-") this.zoom(0.8);
    else if (key === "0") this.fit();
    else return;
    event.preventDefault();
  }

  go(at) {
    this.active = Math.min(this.boxes.length - 1, Math.max(0, at));
    this.canvas.setAttribute("aria-activedescendant", `box-${this.active}`);
    this.reveal(this.boxes.map((_, place) => place === this.active));
    state.point(state.ofKernels(this.boxes[this.active].numbers, this));
  }
}

// What a kernel makes, in short.
const nameOf = (kernel) => {
  const [first = "", ...others] = kernel.names;
  return first.replace(/^derivative of /, "∂ ") + (others.length ? ` +${others.length}` : "");
};
const cut = (text, most) => (text.length > most ? `${text.slice(0, Math.max(1, most - 1))}…` : text);
const percent = (share) => `${(share * 100).toPrecision(share < 0.01 ? 1 : 2)} %`;

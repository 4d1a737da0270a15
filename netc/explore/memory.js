// The memory plan: kernels from left to right, addresses from bottom to top. A buffer's frame is the
// time for which its memory is kept, its filled part the kernels that touch it.

const MOST_BUFFERS = 1500;
const MARGIN = { left: 66, right: 10, top: 20, bottom: 8 };

class Memory {
  constructor(pane) {
    this.pane = pane;
    this.canvas = pane.querySelector(".canvas");
    this.note = pane.querySelector(".note");
    this.active = 0;
    this.canvas.addEventListener("pointermove", (event) => state.point(this.selectionAt(event)));
    this.canvas.addEventListener("pointerleave", () => state.point(null));
    this.canvas.addEventListener("click", (event) => state.pin(this.selectionAt(event)));
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => { if (state.data) this.draw(); }).observe(this.canvas);
    state.listeners.push((selection) => this.select(selection));
  }

  show() {
    const { memory, lanes } = state.data;
    const whole = memory.fixed + memory.per_block * memory.blocks;
    const alone = memory.buffers.reduce((sum, one) =>
      sum + one.size * Math.max(1, one.values.length) * (one.space === "batch" ? memory.blocks : 1), 0);
    this.shown = memory.buffers.map((_, n) => n).sort((a, b) => memory.buffers[b].size - memory.buffers[a].size);
    const left = Math.max(0, this.shown.length - MOST_BUFFERS);
    this.shown = this.shown.slice(0, MOST_BUFFERS).sort((a, b) => a - b);
    this.note.textContent = memory.buffers.length
      ? `${bytesText(whole)} for ${state.program.samples} samples (${bytesText(memory.per_block)} for each ${lanes}); `
        + `${bytesText(alone)} if no memory were used twice${left ? `; the ${left} smallest buffers not drawn` : ""}`
      : "no buffers";
    this.active = 0;
    this.draw();
  }

  draw() {
    const { memory, kernels, phases } = state.data;
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight];
    this.step = Math.max(1, width - MARGIN.left - MARGIN.right) / Math.max(1, kernels.length);
    const both = memory.fixed > 0 && memory.per_block > 0;
    const room = Math.max(20, height - MARGIN.top - MARGIN.bottom);
    const gap = both ? 16 : 0;
    const upper = both ? (room - gap) * 0.72 : room;
    this.svg = shape("svg", { width, height });
    this.bands = shape("g");
    this.svg.append(this.phases(phases, height), this.bands);
    if (memory.per_block) this.space("batch", "per block", memory.per_block, MARGIN.top, upper);
    if (memory.fixed) {
      const top = both ? MARGIN.top + upper + gap : MARGIN.top;
      this.space("fixed", "fixed", memory.fixed, top, both ? room - upper - gap : room);
    }
    this.svg.classList.toggle("dense", this.step < 2);
    this.canvas.replaceChildren(this.svg);
    this.select(state.selection);
  }

  x(kernel) { return MARGIN.left + kernel * this.step; }

  // Kernels that run without a barrier between them, and every so many their numbers.
  phases(phases, height) {
    const group = shape("g");
    phases.forEach((phase, n) => {
      const words = {
        blocks: `each thread its blocks, ${phase.chunk} at a time`,
        parts: "each thread its part of the results", single: "the first thread",
      };
      const title = `${phase.barrier ? "after a barrier: " : ""}${words[phase.kind]}`;
      group.append(shape("rect", {
        class: n % 2 ? "phase odd" : "phase", x: this.x(phase.first), y: 14,
        width: phase.count * this.step, height: Math.max(0, height - 14),
      }, shape("title", {}, title)));
    });
    const every = Math.max(1, Math.ceil(34 / this.step));
    for (let n = 0; n < state.data.kernels.length; n += every) {
      group.append(shape("text", { class: "axis middle", x: this.x(n + 0.5), y: 11 }, String(n)));
    }
    return group;
  }

  space(space, label, total, top, height) {
    const { buffers } = state.data.memory;
    const y = (offset) => top + height - (offset / total) * height;
    for (const part of [0, 0.5, 1]) {
      this.svg.append(
        shape("line", { class: "grid", x1: MARGIN.left, x2: this.x(state.data.kernels.length), y1: y(part * total), y2: y(part * total) }),
        shape("text", { class: "axis end", x: MARGIN.left - 6, y: y(part * total) + 4 }, part === 0 && height > 40 ? label : part === 0 ? "" : bytesText(part * total)),
      );
    }
    if (height <= 40) this.svg.append(shape("text", { class: "axis end", x: MARGIN.left - 6, y: top + height + 4 }, label));
    this.shown.forEach((number, at) => {
      const one = buffers[number];
      if (one.space !== space) return;
      const [low, high] = [y(one.offset), y(one.offset + one.size)];
      const group = shape("g", { class: "buffer", role: "option", id: `buffer-${at}`, "data-at": at, "aria-selected": "false", "aria-label": this.words(number) });
      const rect = (name, from, to) => shape("rect", {
        class: name, x: this.x(from), width: (to - from + 1) * this.step,
        y: high, height: Math.max(1, low - high),
      });
      group.append(rect("kept", one.first, one.last), rect("used", one.from, one.to));
      const wide = (one.to - one.from + 1) * this.step;
      const more = one.values.length > 1 ? `, ${one.values.length} values` : "";
      const text = `${one.name} ${(one.values[0] || "").replace(/^f\d+/, "")}${more}`;
      const shown = wide > text.length * 6 + 8 ? text : wide > one.name.length * 6 + 6 ? one.name : "";
      if (shown && low - high > 12) {
        group.append(shape("text", { x: this.x(one.from) + 4, y: (low + high) / 2 + 4 }, shown));
      }
      group.append(shape("title", {}, this.words(number)));
      paint(group, state.data.lines[one.lines][0]);
      this.svg.append(group);
    });
  }

  words(number) {
    const one = state.data.memory.buffers[number];
    const per = one.space === "batch" ? ` for each ${state.data.lanes} samples` : "";
    const lines = linesText(state.data.lines[one.lines]);
    const values = [...new Set(one.values)].join(", then ");
    const held = one.values.length > 1 ? ` (${one.values.length} values, one after the other)` : "";
    return `${one.name} : ${values}${held}, ${bytesText(one.size)}${per}, kernels ${one.from} to ${one.to}${lines ? `, line ${lines}` : ""}`;
  }

  select(selection) {
    if (!this.svg) return;
    const { kernels } = state.data;
    const touched = new Set(selection
      ? [...selection.kernels].flatMap((number) => kernels[number].buffers) : []);
    const chosen = selection && selection.buffer;
    this.svg.querySelectorAll(".buffer").forEach((drawn) => {
      const number = this.shown[Number(drawn.dataset.at)];
      const hit = chosen === undefined || chosen === null ? touched.has(number) : chosen === number;
      drawn.setAttribute("aria-selected", String(hit));
    });
    const bands = selection ? [...selection.kernels].map((number) => shape("rect", {
      class: "band", x: this.x(number), y: 14, width: this.step, height: this.canvas.clientHeight,
    })) : [];
    this.bands.replaceChildren(...bands);
    this.canvas.classList.toggle("chosen", touched.size > 0);
  }

  // A buffer stands for the kernels that touch it, and for its own lines.
  ofBuffer(at) {
    const number = this.shown[at];
    const { kernels, memory, lines } = state.data;
    const users = [...kernels.keys()].filter((n) => kernels[n].buffers.includes(number));
    const made = new Selection("kernel", lines[memory.buffers[number].lines], users, this);
    made.buffer = number;
    return made;
  }

  selectionAt(event) {
    const drawn = event.target.closest(".buffer");
    if (drawn) return this.ofBuffer(Number(drawn.dataset.at));
    const place = event.clientX - this.canvas.getBoundingClientRect().left;
    const kernel = Math.floor((place - MARGIN.left) / this.step);
    return kernel >= 0 && kernel < state.data.kernels.length ? state.ofKernels([kernel], this) : null;
  }

  key(event) {
    if (!this.shown.length) return;
    const steps = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1, Home: -Infinity, End: Infinity };
    if (event.key in steps) {
      this.active = Math.min(this.shown.length - 1, Math.max(0, this.active + steps[event.key]));
      this.canvas.setAttribute("aria-activedescendant", `buffer-${this.active}`);
      state.point(this.ofBuffer(this.active));
    } else if (event.key === "Enter") state.pin(this.ofBuffer(this.active));
    else return;
    event.preventDefault();
  }
}

// The kernels as a table: their time when it was measured, else the estimated work.

const MOST_ROWS = 400;

const costOf = (number) => (state.data.times
  ? state.data.times.kernels[number].seconds : state.data.kernels[number].work);
const costName = () => (state.data.times ? "time" : "estimated work");
const shareOf = (number) => (state.total ? costOf(number) / state.total : 0);

class Kernels {
  constructor(pane) {
    this.pane = pane;
    this.list = pane.querySelector(".scroll");
    this.note = pane.querySelector(".note");
    this.order = pane.querySelector(".order");
    this.active = 0;
    this.order.addEventListener("change", () => this.show());
    this.list.addEventListener("pointermove", (event) => state.point(this.selectionAt(event)));
    this.list.addEventListener("pointerleave", () => state.point(null));
    this.list.addEventListener("click", (event) => state.pin(this.selectionAt(event)));
    this.list.addEventListener("keydown", (event) => this.key(event));
    state.listeners.push((selection, moved) => this.select(selection, moved));
  }

  show() {
    const { kernels, times } = state.data;
    const numbers = [...kernels.keys()];
    if (this.order.value === "time") numbers.sort((a, b) => costOf(b) - costOf(a));
    this.numbers = numbers.slice(0, MOST_ROWS);
    const left = numbers.length - this.numbers.length;
    const whole = times ? `${timeText(times.seconds)} a run, median of ${times.runs}` : "estimated work; --profile measures";
    this.note.textContent = left ? `${whole}; ${left} not listed` : whole;
    this.pane.classList.toggle("unmeasured", !times);
    this.most = numbers.reduce((most, number) => Math.max(most, costOf(number)), 0);
    this.pane.querySelector(".head").replaceChildren(
      ...["", "kernel", "what", "line", times ? "GFLOP/s" : "", times ? "time" : "estimate"]
        .map((word) => element("span", {}, word)));
    this.list.replaceChildren(...this.numbers.map((number, at) => this.row(number, at)));
    this.active = 0;
    this.select(state.selection, false);
  }

  row(number, at) {
    const kernel = state.data.kernels[number];
    const time = state.data.times && state.data.times.kernels[number];
    const cost = time ? timeText(time.seconds) : kernel.work ? `~${timeText(kernel.work * 1e-9)}` : "–";
    const speed = time && kernel.operations && time.seconds
      ? (kernel.operations / time.seconds / 1e9).toPrecision(3) : "";
    const lines = linesText(state.data.lines[kernel.lines]);
    const facts = [kernel.names.join(", "), kernel.what, kernel.tile && `tiled by ${kernel.tile}`,
      kernel.operations ? `${countText(kernel.operations)} operations` : "", bytesText(kernel.bytes), speed && `${speed} GFLOP/s`];
    const row = element("div", { class: "kernel", role: "option", id: `kernel-${at}`, "data-at": at, "aria-selected": "false", title: facts.filter(Boolean).join(", ") },
      element("span", { class: "number" }, String(number)),
      element("span", { class: "symbol" }, kernel.symbol),
      element("span", { class: "what" }, nameOf(kernel) || kernel.what),
      element("span", { class: "where" }, lines),
      element("span", { class: "speed" }, speed),
      element("span", { class: "cost" }, cost));
    row.style.setProperty("--share", `${this.most ? (costOf(number) / this.most) * 100 : 0}%`);
    paint(row, kernel.line);
    return row;
  }

  select(selection, moved) {
    let first = null;
    for (const row of this.list.children) {
      const hit = Boolean(selection) && selection.kernels.has(this.numbers[Number(row.dataset.at)]);
      row.setAttribute("aria-selected", String(hit));
      row.classList.toggle("active", Number(row.dataset.at) === this.active);
      if (hit && !first) first = row;
    }
    this.list.setAttribute("aria-activedescendant", `kernel-${this.active}`);
    if (moved && first && selection.from !== this) this.see(first);
  }

  see(row) {
    const [top, height] = [row.offsetTop - this.list.offsetTop, this.list.clientHeight];
    if (top < this.list.scrollTop) this.list.scrollTop = top;
    if (top + row.offsetHeight > this.list.scrollTop + height) this.list.scrollTop = top + row.offsetHeight - height;
  }

  selectionAt(event) {
    const row = event.target.closest(".kernel");
    return row ? state.ofKernels([this.numbers[Number(row.dataset.at)]], this) : null;
  }

  key(event) {
    const steps = { ArrowUp: -1, ArrowDown: 1, PageUp: -8, PageDown: 8, Home: -Infinity, End: Infinity };
    const own = () => state.ofKernels([this.numbers[this.active]], this);
    if (event.key in steps) {
      const goal = this.active + steps[event.key];
      this.active = Math.min(this.numbers.length - 1, Math.max(0, goal));
      this.see(this.list.children[this.active]);
      state.point(own());
      this.select(state.selection, false);
    } else if (event.key === "Enter") state.pin(own());
    else return;
    event.preventDefault();
  }
}

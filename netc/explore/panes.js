// The panes of text, and the dividers between panes.

const LANGUAGE = { ast: "ir", loops: "ir", llvm: "llvm", asm: "asm" };
const TABS = ["loops", "llvm", "asm"];
const NAMES = { loops: "Loops", llvm: "LLVM", asm: "Assembly" };

class SourcePane extends Code {
  show() {
    this.numbers = [];
    const rows = [];
    const runs = [];
    const { texts } = state.program;
    for (const text of texts) {
      if (texts.length > 1) {
        rows.push(`# ${text.name}`);
        this.numbers.push("");
        runs.push({ count: 1, lines: [], kernels: [], line: -1 });
      }
      text.lines.forEach((row, n) => {
        const line = text.first + n;
        rows.push(row);
        this.numbers.push(n + 1);
        const used = hues.has(line);
        runs.push({ count: 1, lines: used ? [line] : [], kernels: [], line: used ? line : -1 });
      });
    }
    super.show(rows, runs, "net", "Source; the arrow keys move, Enter selects a line");
  }

  label(number) { return String(this.numbers[number]); }
}

// Tabs for loops, LLVM and assembly, and a list of the stages before them.
class StagePane extends Code {
  constructor(pane, first) {
    super(pane, "Text of a stage");
    this.name = first;
    const bar = pane.querySelector(".bar");
    this.tabs = TABS.map((name) => element("button", {
      type: "button", role: "tab", "data-name": name, "aria-controls": `${pane.id}-text`,
    }, NAMES[name]));
    this.list = element("select", { "aria-label": "Stages before the kernels" });
    this.note = element("span", { class: "note" });
    this.view.id = `${pane.id}-text`;
    const tabs = element("div", { class: "tabs", role: "tablist", "aria-label": "Stages" }, ...this.tabs);
    bar.append(tabs, this.list, this.note);
    tabs.addEventListener("click", (event) => this.choose(event.target.dataset.name));
    tabs.addEventListener("keydown", (event) => this.turn(event));
    this.list.addEventListener("change", () => this.choose(this.list.value));
  }

  turn(event) {
    const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!way) return;
    const at = this.tabs.findIndex((tab) => tab === document.activeElement);
    const next = this.tabs[(at + way + this.tabs.length) % this.tabs.length];
    next.focus();
    this.choose(next.dataset.name);
  }

  fill() {
    const others = state.data.texts.filter((text) => !TABS.includes(text.name));
    this.list.replaceChildren(
      element("option", { value: "", disabled: "", hidden: "" }, "graphs, passes, plan"),
      ...others.map((text) => element("option", { value: text.name, title: text.what }, text.name)),
    );
    const known = state.data.texts.some((text) => text.name === this.name);
    this.choose(known ? this.name : "simplified");
  }

  choose(name) {
    const text = state.data.texts.find((one) => one.name === name);
    if (!text) return;
    this.name = name;
    for (const tab of this.tabs) {
      const chosen = tab.dataset.name === name;
      tab.setAttribute("aria-selected", String(chosen));
      tab.tabIndex = chosen || (!TABS.includes(name) && tab === this.tabs[0]) ? 0 : -1;
    }
    this.list.value = TABS.includes(name) ? "" : name;
    const rows = text.text.split("\n");
    if (text.left_out) {
      rows.push(`… ${text.left_out} more lines: netc ir FILE --stage ${name} --function ${state.data.name}`);
    }
    const { lines, kernel_sets: sets } = state.data;
    const runs = text.marks.map(([count, of, by]) => {
      return { count, lines: lines[of], kernels: sets[by], line: lines[of][0] ?? -1 };
    });
    if (text.left_out) runs.push({ count: 1, lines: [], kernels: [], line: -1 });
    this.note.textContent = `${text.what}, ${(rows.length).toLocaleString("en")} lines`;
    this.show(rows, runs, LANGUAGE[name] || "ir", `${name}: ${text.what}; the arrow keys move, Enter selects`);
  }
}

const dividers = () => {
  for (const divider of document.querySelectorAll(".divide")) {
    const panes = document.getElementById("panes");
    const name = divider.dataset.var;
    const set = (share) => {
      const bounded = Math.min(60, Math.max(12, share));
      panes.style.setProperty(name, `${bounded}%`);
      divider.setAttribute("aria-valuenow", String(Math.round(bounded)));
    };
    const now = () => parseFloat(getComputedStyle(panes).getPropertyValue(name));
    divider.setAttribute("aria-valuenow", String(now()));
    divider.addEventListener("pointerdown", (event) => divider.setPointerCapture(event.pointerId));
    divider.addEventListener("pointermove", (event) => {
      if (!divider.hasPointerCapture(event.pointerId)) return;
      const part = (event.clientX / panes.clientWidth) * 100;
      set(name === "--left" ? part : 100 - part);
    });
    divider.addEventListener("keydown", (event) => {
      const way = { ArrowLeft: -2, ArrowRight: 2 }[event.key];
      if (!way) return;
      set(now() + (name === "--left" ? way : -way));
      event.preventDefault();
    });
  }
};

// Starts the page: unpacks the data, fills the panes, says what is selected.

const pane = (name) => document.getElementById(name);

const statusText = (selection) => {
  const { kernels } = state.data;
  const numbers = [...selection.kernels];
  const lines = linesText(selection.lines);
  const share = numbers.reduce((sum, number) => sum + shareOf(number), 0);
  const part = `${percent(share)} of the ${costName()}`;
  if (selection.by === "kernel" && numbers.length === 1) {
    const kernel = kernels[numbers[0]];
    const reads = kernel.reads.length ? `; reads ${cut(kernel.reads.join(", "), 120)}` : "";
    const writes = kernel.writes.length ? `; writes ${cut(kernel.writes.join(", "), 120)}` : "";
    const made = kernel.names.length ? ` of ${cut(kernel.names.join(", "), 80)}` : "";
    return `${kernel.symbol}: ${kernel.what}${made}${kernel.tile ? `, tiled by ${kernel.tile}` : ""}; line ${lines || "none"}; ${part}${reads}${writes}`;
  }
  const names = [...selection.lines].flatMap((line) => state.program.names[line] || []);
  const named = names.length ? ` (${cut(names.join(", "), 80)})` : "";
  const symbols = cut(numbers.map((number) => kernels[number].symbol).join(", "), 140);
  return `line ${lines || "none"}${named}: ${numbers.length} kernel${numbers.length === 1 ? "" : "s"}, ${part}${symbols ? `; ${symbols}` : ""}`;
};

const start = async () => {
  const began = performance.now();
  state.program = await unpacked("program");
  const { program } = state;
  const source = new SourcePane(pane("source"), "Source");
  const graph = new Graph(pane("graph"));
  const memory = new Memory(pane("memory"));
  const kernels = new Kernels(pane("kernels"));
  const stages = [new StagePane(pane("upper"), "loops"), new StagePane(pane("lower"), "asm")];
  const chooser = pane("function");
  pane("title").textContent = program.net;
  chooser.append(...program.functions.map((name) => element("option", { value: name }, name)));

  const show = async (name) => {
    state.pinned = null;
    state.pointed = null;
    state.data = await unpacked(`function-${name}`);
    state.total = state.data.kernels.reduce((sum, _, number) => sum + costOf(number), 0);
    findHues();
    pane("facts").textContent = `${program.precision}, ${program.samples} samples, ${state.data.lanes} lanes, ${state.data.target}`;
    source.show();
    kernels.show();
    graph.show();
    memory.show();
    for (const stage of stages) stage.fill();
    state.tell(false);
  };

  state.listeners.push((selection) => {
    pane("status").textContent = selection ? statusText(selection)
      : "Point at a line, a kernel, a buffer or an instruction; click or press Enter to keep it.";
    document.body.classList.toggle("pinned", Boolean(state.pinned));
  });
  chooser.addEventListener("change", () => show(chooser.value));
  pane("theme").addEventListener("change", (event) => {
    document.documentElement.dataset.theme = event.target.value;
    state.tell(true);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => state.tell(true));
  pane("help").addEventListener("click", () => pane("keys").showModal());
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") state.pin(null); });
  dividers();
  await show(program.functions[0]);
  document.documentElement.dataset.ready = String(Math.round(performance.now() - began));
};

start().catch((error) => {
  pane("status").textContent = `This page cannot be shown: ${error.message}. It needs a browser of 2023 or later.`;
  throw error;
});

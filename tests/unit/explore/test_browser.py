"""The page in a browser: a script that is added to it tries what a reader would do.

Needs Chromium (Debian: `chromium`); without one these tests are skipped.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape

import pytest

from netc.explore.page import packed

from .conftest import unpacked

LAYERS = 1000
BROWSER = next(
    (b for b in ("chromium", "chromium-browser", "google-chrome") if shutil.which(b)), ""
)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--no-first-run", "--window-size=1680,1000", "--enable-logging=stderr", "--dump-dom"),
    *("--virtual-time-budget=8000", "--disable-dev-shm-usage"),
)

pytestmark = pytest.mark.skipif(not BROWSER, reason="no Chromium on this machine")

SELF_TEST = r"""
const found = {};
const problems = [];
addEventListener("error", (event) => problems.push(event.message));
addEventListener("unhandledrejection", (event) => problems.push(String(event.reason)));
const all = (query) => [...document.querySelectorAll(query)];
const texts = (query) => all(query).map((one) => one.textContent);
const lines = (pane) => all(`#${pane} .line[aria-selected="true"]`);
const later = (ms) => new Promise((done) => setTimeout(done, ms));
const send = (target, type, more = {}) =>
  target.dispatchEvent(type.startsWith("key")
    ? new KeyboardEvent(type, { bubbles: true, ...more })
    : new PointerEvent(type, { bubbles: true, ...more }));
const sourceLine = (number) => document.getElementById(`source-${number - 1}`);
const highlighted = () => ({
  source: texts('#source .line[aria-selected="true"] .count'),
  kernels: texts('#kernels .kernel[aria-selected="true"] .symbol'),
  boxes: texts('#graph .box[aria-selected="true"] .title'),
  buffers: all('#memory .buffer[aria-selected="true"]').length,
  upper: lines("upper").length, lower: lines("lower").length,
  status: document.getElementById("status").textContent,
});
const run = async () => {
  for (let n = 0; n < 100 && !document.documentElement.dataset.ready; n += 1) await later(20);
  found.functions = texts("#function option");
  found.comment = sourceLine(1).textContent;
  found.injected = all("b").length + Number("broken" in window);
  found.kernels = all("#kernels .scroll .kernel").length;
  found.boxes = all("#graph .box").length;
  found.operations = all("#graph .op").length;
  found.buffers = all("#memory .buffer").length;
  found.text = [texts("#upper .line")[0], texts("#lower .line").length > 5];
  send(sourceLine(6), "pointermove");
  found.pointed = highlighted();
  send(document.querySelector("#source .code"), "pointerleave");
  found.left = highlighted();
  send(sourceLine(6), "click");
  found.kept = { ...highlighted(), scrolled: document.querySelector("#lower .code").scrollTop > 0 };
  send(document, "keydown", { key: "Escape" });
  found.let_go = highlighted();
  send(document.querySelector("#lower .line.active"), "pointermove");
  found.from_asm = highlighted();
  const list = document.querySelector("#kernels .scroll");
  send(list, "keydown", { key: "Home" });
  send(list, "keydown", { key: "ArrowDown" });
  found.keyed = highlighted();
  send(document, "keydown", { key: "Escape" });
  all("#upper [role=tab]")[1].click();
  await later(50);
  found.llvm = document.querySelector("#upper .code").getAttribute("aria-label");
  const chooser = document.getElementById("function");
  chooser.value = "step";
  chooser.dispatchEvent(new Event("change"));
  await later(500);
  const drawn = ["#kernels .scroll .kernel", "#graph .box"].map((query) => all(query).length);
  found.step = { kernels: drawn[0], boxes: drawn[1] };
  chooser.value = "huge";
  chooser.dispatchEvent(new Event("change"));
  await later(1500);
  found.huge = {
    boxes: all("#graph .box").length, runs: all("#graph .box.run").length,
    rows: all("#kernels .scroll .kernel").length, buffers: all("#memory .buffer").length,
    notes: texts("#kernels .note, #graph .note, #memory .note").join("; "),
  };
  send(document.querySelector("#graph .box.run"), "dblclick");
  found.huge.opened = all("#graph .box").length;
  const theme = document.getElementById("theme");
  const colour = () => getComputedStyle(document.body).backgroundColor;
  theme.value = "light"; theme.dispatchEvent(new Event("change"));
  const light = colour();
  theme.value = "dark"; theme.dispatchEvent(new Event("change"));
  found.themes = light !== colour();
  found.unnamed = all("button, select, input, [role=listbox], [role=separator]").filter((one) =>
    !(one.getAttribute("aria-label") || one.textContent.trim() || one.closest("label"))).length;
  found.focus = all('[tabindex="0"]').map((one) => one.closest("section, main").id);
};
run().catch((error) => problems.push(error.stack)).then(() => {
  found.problems = problems;
  const made = document.createElement("pre");
  made.id = "found";
  made.textContent = JSON.stringify(found);
  document.body.append(made);
});
"""


def open_page(html: str, folder, script: str) -> tuple[dict, str]:
    """What the script found, and what the browser wrote to its log."""
    page = folder / "page.html"
    page.write_text(html.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    command = [BROWSER, *FLAGS, f"--user-data-dir={folder / 'profile'}", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    made = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert made, done.stderr
    return json.loads(unescape(made[1])), done.stderr


def huge(function: dict, layers: int) -> dict:
    """A function whose kernels and buffers stand there so many times, each after the other."""
    kernels, buffers = function["kernels"], function["memory"]["buffers"]
    count = len(kernels)
    return {
        **function,
        "name": "huge",
        "phases": [{"first": 0, "count": count * layers, "kind": "single", "barrier": False}],
        "kernels": [
            {**k, "from": [n + at * count for n in k["from"]] or [max(0, at * count - 1)]}
            for at in range(layers)
            for k in kernels
        ],
        "memory": {
            **function["memory"],
            "buffers": [
                {**b, **{key: b[key] + at * count for key in ("first", "last", "from", "to")}}
                for at in range(layers)
                for b in buffers
            ],
        },
    }


@pytest.fixture(scope="module")
def opened(html, tmp_path_factory):
    data = unpacked(html)
    program = {**data["program"], "functions": [*data["program"]["functions"], "huge"]}
    old = re.search(r'<script type="text/plain" id="data-program">.*', html)[0]
    large = packed("function-huge", huge(data["function-infer"], LAYERS))
    page = html.replace(old, f"{packed('program', program)}\n{large}")
    return open_page(page, tmp_path_factory.mktemp("browser"), SELF_TEST)


@pytest.fixture(scope="module")
def found(opened):
    return opened[0]


def test_nothing_goes_wrong(opened):
    found, log = opened
    assert found["problems"] == []
    assert "CONSOLE" not in log


def test_elements_are_there(found):
    assert found["functions"] == ["infer", "step", "huge"]
    assert found["kernels"] == found["boxes"] >= 5
    assert found["operations"] >= 8
    assert found["buffers"] >= 4
    assert "kernel pack_0" in found["text"][0]
    assert found["text"][1]
    assert found["step"]["kernels"] == found["step"]["boxes"] > found["kernels"]


def test_text_of_the_net_is_text(found):
    assert "</script><script>window.broken = 1</script> and <b>tags</b>" in found["comment"]
    assert found["injected"] == 0


def test_a_line_of_the_source_is_found_in_every_pane(found):
    pointed = found["pointed"]
    assert pointed["source"] == ["6"]
    assert pointed["kernels"] == pointed["boxes"]
    assert any(name.startswith("contract") for name in pointed["kernels"])
    assert pointed["buffers"] >= 1
    assert pointed["upper"] > 0
    assert "line 6 (c, c.conv, c.max_pool): " in pointed["status"]


def test_pointing_ends_and_keeping_stays(found):
    assert found["left"]["kernels"] == found["let_go"]["kernels"] == []
    assert found["kept"]["kernels"] == found["pointed"]["kernels"]
    assert found["kept"]["scrolled"]
    assert found["kept"]["lower"] > 0


def test_machine_code_and_kernels_lead_back_to_the_source(found):
    assert found["from_asm"]["source"] == ["6"]
    assert len(found["from_asm"]["kernels"]) == 1
    assert found["keyed"]["source"] == ["6"]
    assert found["keyed"]["kernels"][0].startswith("contract")


def test_stages_themes_and_names_for_readers(found):
    assert found["llvm"].startswith("llvm: the text given to LLVM")
    assert found["themes"]
    assert found["unnamed"] == 0
    panes = {"source", "kernels", "graph", "memory", "upper", "lower", "panes"}
    assert panes <= set(found["focus"])


def test_a_net_of_a_thousand_layers_is_summed_up(found):
    kernels = found["kernels"] * LAYERS
    seen = found["huge"]
    assert seen["boxes"] == seen["runs"] <= 120
    assert seen["rows"] == 400
    assert seen["buffers"] == 1500
    assert f"{kernels} kernels, in runs" in seen["notes"]
    assert f"{kernels - 400} not listed" in seen["notes"]
    assert "smallest buffers not drawn" in seen["notes"]
    assert seen["opened"] > seen["boxes"]

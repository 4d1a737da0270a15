"""Kernels written with notes are the kernels that run, and every statement has its node."""

from __future__ import annotations

import re

import pytest

from netc.compiler.backend.noted import NotedEmitter
from netc.compiler.driver import compile_text
from netc.compiler.loops.loops import For
from netc.compiler.loops.traced import traced
from netc.compiler.stages import native_texts
from netc.grammar.source import Source

NET = """\
net Small {
  input  x: [2, 6, 6]
  target y: class[3]
  c = x |> conv(4, kernel=3) |> batch_norm |> relu |> max_pool(2)
  p = c |> flatten |> dropout(0.5) |> dense(3)
  output p
  loss cross_entropy(p, y)
}
train { optimizer = momentum(lr=0.1) }
"""


@pytest.fixture(scope="module")
def program():
    return compile_text(Source("small.net", NET), target="portable")


@pytest.fixture(scope="module")
def kernels(program):
    """Every kernel of a step with its traced twin."""
    stages, results = program.stages("step"), program.manifest.results
    return {
        name: (launch.kernel, traced(stages.plan, launch.unit, program.target.registers, results))
        for name, launch in stages.kernels.items()
    }


def test_tracing_changes_no_kernel(kernels):
    assert len(kernels) > 10
    for kernel, found in kernels.values():
        twin = found.kernel
        assert repr(twin.body) == repr(kernel.body)
        assert (twin.buffers, twin.scratch) == (kernel.buffers, kernel.scratch)


def test_every_statement_has_a_node(kernels):
    for name, (_, found) in kernels.items():
        stack = list(found.kernel.body)
        while stack:
            statement = stack.pop()
            assert id(statement) in found.nodes, f"{name}: {statement}"
            if isinstance(statement, For):
                stack += statement.body


def test_llvm_without_its_comments_is_what_is_compiled(program, kernels):
    texts = dict(native_texts(program.stages("step"), "llvm", program.target))
    scalars = [name for name, _ in program.manifest.scalars]
    for name, (_, found) in kernels.items():
        notes = {statement: f"<{node.op.word}>" for statement, node in found.nodes.items()}
        emitter = NotedEmitter(found.kernel, "f32", program.target, scalars, notes)
        noted = emitter.function(name)
        assert re.sub(r"  ; <\w+>$", "", noted, flags=re.MULTILINE).strip() == texts[name].strip()
        plain = [line for line in noted.splitlines() if line[:2] == "  " and line[-1] != ">"]
        assert all("alloca" in line or "ret void" in line for line in plain), name


def test_lines_of_kernels_name_their_places(program):
    text = program.show("loops", "step")
    assert re.search(r"^kernel contract_\d+\(.*\)  # small\.net:4:12 c\.conv", text, re.MULTILINE)
    assert re.search(r" = fma .*  # small\.net:4:12 derivative of c\.conv$", text, re.MULTILINE)
    assert re.search(r"  # small\.net:9:\d+ update of p\.dense\.W$", text, re.MULTILINE)
    statements = [line for line in text.splitlines() if " = " in line and " for " not in line]
    assert sum("  # small.net:" in line for line in statements) > 0.9 * len(statements)
    llvm = program.show("llvm", "infer", "contract")
    assert re.search(r"= fmul .*  ; small\.net:4:\d+ c", llvm)
    plan = program.show("fused", "infer")
    assert re.search(r" -> \w+ at .*  # small\.net:5:\d+ p", plan)
    assert re.search(
        r"^contract_\d+:  # small\.net:4:\d+ c", program.show("asm", "infer"), re.MULTILINE
    )

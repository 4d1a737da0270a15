"""Graphs of every example and function: texts read back, and every operation has its place."""

from __future__ import annotations

import pytest

from netc.compiler.ops.reader import verified
from netc.compiler.ops.source import Constant, Source
from netc.compiler.ops.text import show
from netc.compiling import program_of, read_source
from tests.end_to_end.data import EXAMPLES


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.net")), ids=lambda path: path.stem)
def test_graphs_of_an_example(path):
    program = program_of(read_source(str(path)), {}, "f32")
    for name in program.manifest.functions:
        found = program.provenance(name)
        for graph in (found.backward, found.simplified):
            assert verified(show(graph, found.origins)) == graph
        placed = [node for node in found.simplified.nodes() if node in found.origins]
        for node in set(found.simplified.nodes()) - set(placed):
            assert isinstance(node.op, Constant | Source), f"{name}: {node}"

"""Kernels done a range of blocks or a part of the results at a time give the same bits as whole."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from netc.compiler.driver import compile_text
from netc.compiler.ir.graph import Graph
from netc.compiler.loops.loops import For, Kernel
from netc.grammar.source import Source
from tests.native import Native
from tests.property.functions import environment, functions
from tests.unit.plan.in_place import CASES

NETS = {
    "dense": """net Dense {
  input x: [11]
  target t: class[3]
  output y = x |> dense(13, act=tanh) |> dense(3)
  loss cross_entropy(y, t)
}
train { optimizer = adam() }
""",
    "convolutions": """net Convolutions {
  input x: [2, 6, 7]
  target t: class[3]
  output y = x
    |> conv(5, kernel=3, padding=1, act=relu)
    |> max_pool(2) |> conv(3, kernel=2) |> flatten |> dense(3)
  loss cross_entropy(y, t)
}
train { optimizer = momentum() }
""",
    "channels": """net Channels {
  input x: [2, 6, 6]
  target t: [2]
  output y = x
    |> conv(5, kernel=3, padding=1) |> batch_norm |> relu |> max_pool(2)
    |> conv(4, kernel=1) |> batch_norm |> flatten |> dense(2)
  loss mean_squared_error(y, t)
}
train { optimizer = adam() }
""",
    "normalised": """net Normalised {
  input x: [5]
  target t: [2]
  output y = x |> dense(9) |> batch_norm |> dense(2)
  loss mean_squared_error(y, t)
}
train { 
  optimizer = adam()
  clip_norm = 1
}
""",
}


@cache
def graph_of(name: str) -> Graph:
    source = Source(f"{name}.net", NETS[name])
    return compile_text(source, precision="f64").stages("step").graph


def same_bits(graph: Graph, batch: int) -> None:
    native = Native(graph)
    env = environment(graph, batch)
    whole = native.interpreted(env)
    for parts in (2, 3, 7):
        found = native.interpreted(env, parts)
        for key, value in whole.items():
            np.testing.assert_array_equal(found[key], value, err_msg=str((key, parts)))


@pytest.mark.parametrize("name", NETS)
def test_nets(name):
    same_bits(graph_of(name), 19)


@pytest.mark.parametrize("name", CASES)
def test_values_that_are_overwritten(name):
    same_bits(CASES[name], 19)


@given(graph=functions())
@settings(max_examples=25, suppress_health_check=list(HealthCheck))
def test_random_functions(graph):
    same_bits(graph, 19)


@pytest.mark.parametrize("name", NETS)
def test_work_that_matters_is_shared_out(name):
    """Every kernel of a step does blocks or parts of results: products always."""
    for launch in Native(graph_of(name)).launches:
        if launch.unit.contraction is not None:
            assert launch.unit.per_block or launch.kernel.split


def test_a_split_loop_is_found_inside_others():
    inner = For("j", 3, (), split=True)
    assert Kernel((For("i", 2, (inner,)),), 0).split
    assert not Kernel((For("i", 2, (For("j", 3, ()),)),), 0).split

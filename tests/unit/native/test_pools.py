"""Pools in native code: windows are never stored, ties and padding, NaN, and many shapes."""

from __future__ import annotations

from itertools import product
from math import inf, nan
from typing import TYPE_CHECKING

import numpy as np
import pytest

from netc.compiler.derive.reverse import gradients
from netc.compiler.ir.graph import Graph, Node, Output, make
from netc.compiler.ir.interpret import interpret
from netc.compiler.ir.op import Environment
from netc.compiler.loops.loops import Compute, For, Kernel, Load
from netc.compiler.ops.elementwise import Isnan, Log, Tanh, mul, where
from netc.compiler.ops.reduce import batch_sum, reduce, reduce_sum
from netc.compiler.ops.source import source
from netc.compiler.ops.unfold import Unfold, unfold
from netc.compiler.ops.window import Window
from netc.compiler.passes.pipeline import run
from tests.native import DTYPE, TARGETS, Native, assert_native_equals
from tests.unit.plan.checker import check

if TYPE_CHECKING:
    from collections.abc import Sequence

BATCHES = (1, 5, 18)
PAIRS = (Window(6, 2, 2), Window(4, 2, 2))
ODD = (Window(7, 2, 2), Window(5, 2, 2))
CLOSE = (Window(7, 3, 2), Window(8, 3, 2))
PADDED = (Window(7, 3, 2, before=1, after=1), Window(5, 3, 1, before=1, after=1))
UNEVEN = (Window(6, 2, 1, before=0, after=1), Window(9, 4, 3, before=3, after=2))
DILATED = (Window(9, 3, 2, dilation=2, before=2, after=2), Window(7, 2, 1, dilation=3))
WIDE = (Window(9, 5, 2, before=2, after=2), Window(7, 4, 1))
APART = (Window(9, 2, 4), Window(7, 1, 3))
GEOMETRIES = (PAIRS, ODD, CLOSE, PADDED, UNEVEN, DILATED, WIDE, APART)
NAMES = ["pairs", "odd", "close", "padded", "uneven", "dilated", "wide", "apart"]
each_geometry = pytest.mark.parametrize("windows", GEOMETRIES, ids=NAMES)


def pooled(x: Node, windows: Sequence[Window], kind: str) -> Node:
    """A pool of the last axes."""
    rank, axes = x.type.rank, len(windows)
    fill = -inf if kind == "max" and any(w.padded for w in windows) else 0.0
    unfolded = unfold(x, tuple(enumerate(windows, rank - axes)), fill)
    return reduce(kind, unfolded, tuple(range(rank, rank + axes)))


def image(windows: Sequence[Window], batched: bool, precision: str = "f64") -> Node:
    shape = (2, *(w.length for w in windows))
    return source("input" if batched else "parameter", "x", shape, batched, precision)


def curved(y: Node) -> Node:
    total = reduce_sum(mul(mul(y, y), y), tuple(range(y.type.rank)))
    return batch_sum(total) if total.type.batched else total


def with_derivatives(x: Node, y: Node) -> Graph:
    """A value, the gradient of its cubes, and the derivative of that gradient's cubes."""
    (g,) = gradients(curved(y), [x])
    (h,) = gradients(curved(g), [x])
    space = "output" if x.type.batched else "gradient"
    return Graph("step", tuple(Output(space, n, v) for n, v in zip("ygh", (y, g, h), strict=True)))


def drawn(x: Node, batch: int, ties: bool) -> Environment:
    rng = np.random.default_rng(batch)
    value = rng.normal(size=(batch,) * x.type.batched + x.type.shape)
    value = np.round(value) if ties else value
    return Environment({(x.op.space, "x"): value.astype(DTYPE[x.type.precision])}, batch)


@each_geometry
@pytest.mark.parametrize("kind", ["max", "sum", "min"])
@pytest.mark.parametrize("batched", [True, False], ids=["batched", "unbatched"])
def test_native_equals_interpreter(windows, kind, batched):
    if kind == "min" and any(w.padded for w in windows):
        pytest.skip("padding is no element of a minimum")
    for precision, target in product(("f32", "f64"), TARGETS):
        x = image(windows, batched, precision)
        graph = run(with_derivatives(x, pooled(x, windows, kind)))
        native = Native(graph, target)
        check(native.plan, native.memory, native.launches, native.manifest)
        for batch in BATCHES:
            env = drawn(x, batch, ties=batch == 5)
            expected = interpret(graph, env)
            tolerance = 3e-6 if precision == "f32" else 1e-13
            assert_native_equals(expected, native(env), tolerance)
            if target == TARGETS[-1] and batch != 5:
                assert_native_equals(expected, native.interpreted(env), tolerance)


# -- what is stored --------------------------------------------------------------------------------


def stored(native: Native) -> list[Node]:
    return [s.node for unit in native.plan.units for s in unit.stores]


@each_geometry
@pytest.mark.parametrize("operand", ["x", "tanh", "relu"])
@pytest.mark.parametrize("kind", ["max", "sum"])
def test_no_window_is_stored(windows, operand, kind):
    x = image(windows, batched=True)
    inner = {"x": x, "tanh": make(Tanh(), x), "relu": where(x, x, 0)}[operand]
    native = Native(run(with_derivatives(x, pooled(inner, windows, kind))))
    taps = windows[0].size * windows[1].size
    unfolded = (2, windows[0].places, windows[1].places, windows[0].size, windows[1].size)
    assert taps == 1 or all(n.type.shape != unfolded for n in stored(native))
    assert not any(isinstance(n.op, Unfold) for n in stored(native))


@each_geometry
def test_an_expensive_operand_is_computed_once(windows):
    x = image(windows, batched=True)
    inner = make(Tanh(), x)
    y, position = (pooled(inner, windows, kind) for kind in ("max", "argmax"))
    roots = (Output("output", "y", y), Output("output", "p", position))
    native = Native(Graph("step", roots))
    tiling = all(w.tiling for w in windows)
    assert stored(native).count(inner) == (not tiling)
    if tiling:
        (kernel,) = kernels(native.plan.graph)
        assert tanhs(kernel.body) == windows[0].size * windows[1].size
    assert not any(isinstance(n.op, Unfold) for n in stored(native))


def nests(kernel: Kernel) -> int:
    """The loop nests under the loop over blocks of samples."""
    (blocks,) = kernel.body
    assert isinstance(blocks, For)
    return len([s for s in blocks.body if isinstance(s, For)])


def kernels(graph: Graph) -> list[Kernel]:
    return [launch.kernel for launch in Native(graph).launches if launch.unit.kind == "nests"]


@each_geometry
def test_a_maximum_is_one_nest_and_its_derivative_two(windows):
    x = image(windows, batched=True)
    y = pooled(x, windows, "max")
    (kernel,) = kernels(Graph("step", (Output("output", "y", y),)))
    assert nests(kernel) == 1
    c = source("input", "c", y.type.shape, True, "f64")
    (g,) = gradients(batch_sum(reduce_sum(mul(y, c), (0, 1, 2))), [x])
    roots = (Output("output", "g", g), Output("output", "y", y))
    for some in (roots[:1], roots, roots[::-1]):
        (kernel,) = kernels(run(Graph("step", some)))
        looped = some is roots and windows[0].size * windows[1].size > 9
        assert nests(kernel) == 2 + looped


def tanhs(body) -> int:
    found = (s.op == "tanh" for s in body if isinstance(s, Compute))
    return sum(found) + sum(tanhs(s.body) for s in body if isinstance(s, For))


def loads(body) -> int:
    return sum(loads(s.body) if isinstance(s, For) else isinstance(s, Load) for s in body)


def test_maximum_and_position_read_each_element_once():
    x = image(PAIRS, batched=True)
    y = pooled(x, PAIRS, "max")
    position = pooled(x, PAIRS, "argmax")
    roots = (Output("output", "y", y), Output("output", "p", position))
    (kernel,) = kernels(Graph("step", roots))
    assert loads(kernel.body) == 4


# -- ties, padding and NaN -------------------------------------------------------------------------


def gradient_of(windows: Sequence[Window], value: np.ndarray, guard: bool = False) -> np.ndarray:
    """The gradient of the sum of a max pool, native and interpreted alike."""
    x = source("input", "x", value.shape, True, "f64")
    inner = where(make(Isnan(), x), 0, make(Log(), x)) if guard else x
    y = pooled(inner, windows, "max")
    (g,) = gradients(batch_sum(reduce_sum(y, tuple(range(y.type.rank)))), [x])
    graph = run(Graph("step", (Output("output", "g", g),)))
    env = Environment({("input", "x"): np.broadcast_to(value, (3, *value.shape))}, 3)
    expected = interpret(graph, env)["output", "g"]
    found = Native(graph)(env)["output", "g"]
    np.testing.assert_array_equal(found, expected)
    return found[1]


def test_the_first_of_equals_gets_the_gradient():
    row = np.array([1.0, 3, 3, 3, 3, 2, 2, 2, 0])
    found = gradient_of((Window(9, 3, 3),), row)
    np.testing.assert_array_equal(found, [0, 1, 0, 1, 0, 0, 1, 0, 0])
    square = np.array([[1.0, 5, 2], [5, 5, 0], [0, 0, 5]])
    found = gradient_of((Window(3, 2, 1), Window(3, 2, 1)), square)
    np.testing.assert_array_equal(found, [[0, 2, 0], [1, 1, 0], [0, 0, 0]])


def test_padding_gets_no_gradient_and_is_no_maximum():
    row = -np.array([3.0, 2, 5, 9])
    found = gradient_of((Window(4, 3, 2, before=1, after=1),), row)
    np.testing.assert_array_equal(found, [0, 2, 0, 0])
    assert found.sum() == Window(4, 3, 2, before=1, after=1).places


def test_nan_takes_the_gradient_of_its_windows():
    row = np.array([1.0, nan, 9, 2, 3, 4])
    np.testing.assert_array_equal(gradient_of((Window(6, 3, 3),), row), [0, 1, 0, 0, 0, 1])
    np.testing.assert_array_equal(gradient_of((Window(6, 6, 1),), row), [0, 1, 0, 0, 0, 0])


def test_a_choice_under_a_pool_keeps_its_zeros():
    """The derivative of log at NaN and 0 is no number: what no window chose must not meet it."""
    row = np.array([nan, 2.0, 0, 4, nan, nan])
    found = gradient_of((Window(6, 2, 2),), row, guard=True)
    np.testing.assert_allclose(found, [0, 1 / 2, 0, 1 / 4, 0, 0])
    found = gradient_of((Window(6, 3, 1),), row, guard=True)
    np.testing.assert_allclose(found, [0, 1 / 2, 0, 3 / 4, 0, 0])

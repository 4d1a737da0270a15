"""Random well-typed graphs, grown from sources by every form of op."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import strategies as st

from netc.compiler.derive.reverse import gradients
from netc.compiler.ir.graph import Graph, Node, Output, make, toposort
from netc.compiler.ir.op import Environment
from netc.compiler.ir.types import TypeRuleError
from netc.compiler.ops import elementwise as e
from netc.compiler.ops.contract import contract
from netc.compiler.ops.movement import (
    Movement,
    concat,
    pad,
    reshape,
    reverse,
    slice_,
    transpose,
)
from netc.compiler.ops.reduce import BatchReduce, Lift, Reduce, broadcast, lift, reduce_sum
from netc.compiler.ops.source import Constant, Iota, Random, Source, Table, constant, source, table
from netc.compiler.ops.unfold import Fold, unfold
from netc.compiler.ops.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable

    Draw = Callable[[st.SearchStrategy], object]

SIZES = (1, 2, 3, 5, 7, 15, 16, 17)
NUMBERS = (-1.0, 0.0, 1.0, 2.0, 0.5, -0.25, 3.0)
SMOOTH = (e.Neg, e.Tanh, e.Sigmoid, e.Sin, e.Cos, e.Erf, e.Abs, e.Exp, e.Log, e.Sqrt, e.Rsqrt,
          e.Log1p, e.Expm1, e.StopGradient, e.Not, e.Isnan, e.Sign)  # fmt: skip
PAIRS = (e.Add, e.Sub, e.Mul, e.Div, e.Max, e.Min, e.Absorb, e.Lt, e.Ge, e.And, e.Pow)


def sources(draw: Draw) -> list[Node]:
    n, m = draw(st.sampled_from(SIZES)), draw(st.sampled_from(SIZES))
    return [
        source("input", "x", (n,), True, "f64"),
        source("input", "y", (n, m), True, "f64"),
        source("parameter", "w", (n, m), False, "f64"),
        source("parameter", "v", (m,), False, "f64"),
        make(Random("draw", (n,), True, "f64")),
        constant(draw(st.sampled_from(NUMBERS)), (n,), "f64"),
        constant(draw(st.sampled_from(NUMBERS)), (n, m), "f64"),
        lift(constant(draw(st.sampled_from(NUMBERS)), (m,), "f64")),
        table(np.arange(n * 1.0) % 3, "f64"),
    ]


def unary(draw: Draw, pool: list[Node]) -> Node:
    return make(draw(st.sampled_from(SMOOTH))(), draw(st.sampled_from(pool)))


def binary(draw: Draw, pool: list[Node]) -> Node:
    a = draw(st.sampled_from(pool))
    same = [b for b in pool if b.type.shape == a.type.shape]
    b = draw(st.sampled_from(same))
    return make(draw(st.sampled_from(PAIRS))(), *draw(st.permutations([a, b])))


def choice(draw: Draw, pool: list[Node]) -> Node:
    a = draw(st.sampled_from(pool))
    same = st.sampled_from([b for b in pool if b.type.shape == a.type.shape])
    return make(e.Where(), draw(same), a, draw(same))


def reduced(draw: Draw, pool: list[Node]) -> Node:
    x = draw(st.sampled_from([n for n in pool if n.type.rank]))
    axes = draw(st.sets(st.integers(0, x.type.rank - 1), min_size=1))
    kinds = ("sum", "max", "min", "prod", "argmax", "logsumexp")
    return make(Reduce(draw(st.sampled_from(kinds)), tuple(sorted(axes))), x)


def over_batch(draw: Draw, pool: list[Node]) -> Node:
    x = draw(st.sampled_from([n for n in pool if n.type.batched]))
    return make(BatchReduce(draw(st.sampled_from(("sum", "max")))), x)


def lifted(draw: Draw, pool: list[Node]) -> Node:
    return lift(draw(st.sampled_from(pool)))


def moved(draw: Draw, pool: list[Node]) -> Node:
    x = draw(st.sampled_from([n for n in pool if n.type.rank]))
    shape, rank = x.type.shape, x.type.rank
    match draw(st.integers(0, 6)):
        case 0:
            return reshape(x, draw(st.sampled_from([(x.type.size,), (1, *shape), (*shape, 1)])))
        case 1:
            return transpose(x, tuple(draw(st.permutations(range(rank)))))
        case 2:
            new, at = draw(st.sampled_from(SIZES)), draw(st.integers(0, rank))
            axes = tuple(i for i in range(rank + 1) if i != at)
            return broadcast(x, (*shape[:at], new, *shape[at:]), axes)
        case 3:
            starts = tuple(draw(st.integers(0, n - 1)) for n in shape)
            stops = tuple(draw(st.integers(a + 1, n)) for a, n in zip(starts, shape, strict=True))
            return slice_(x, starts, stops)
        case 4:
            sides = st.tuples(*[st.integers(0, 2)] * rank)
            return pad(x, draw(sides), draw(sides))
        case 5:
            same = [n for n in pool if n.type.shape == shape]
            return concat([x, draw(st.sampled_from(same))], draw(st.integers(0, rank - 1)))
        case _:
            axes = draw(st.sets(st.integers(0, rank - 1), min_size=1))
            return reverse(x, tuple(sorted(axes)))


def windowed(draw: Draw, pool: list[Node]) -> Node:
    """Windows as axes, reduced as a pool does, or summed back into elements."""
    x = draw(st.sampled_from([n for n in pool if n.type.rank]))
    shape, rank = x.type.shape, x.type.rank
    axis, stride, dilation = (draw(st.integers(*b)) for b in ((0, rank - 1), (1, 3), (1, 2)))
    before, after, size = (draw(st.integers(*b)) for b in ((0, 2), (0, 2), (1, 4)))
    if axis < rank - 1 and draw(st.booleans()):
        span = (shape[axis] - 1) * stride + dilation * (shape[-1] - 1) + 1
        window = Window(max(span - before, 1), shape[-1], stride, dilation, before)
        return make(Fold(((axis, window),)), x)
    window = Window(shape[axis], size, stride, dilation, before, after)
    unfolded = unfold(x, ((axis, window),), 0.0)
    kind = draw(st.sampled_from([None, "sum", "max", "min"]))
    return unfolded if kind is None else make(Reduce(kind, (rank,)), unfolded)


def contracted(draw: Draw, pool: list[Node]) -> Node:
    """Letters shared where the sizes allow it."""
    a, b = draw(st.sampled_from(pool)), draw(st.sampled_from(pool))
    first = "abcd"[: a.type.rank]
    second = ""
    for position, size in enumerate(b.type.shape):
        twins = [c for c, n in zip(first, a.type.shape, strict=True) if n == size]
        free = [c for c in twins if c not in second]
        second += draw(st.sampled_from([*free, "wxyz"[position]]))
    letters = sorted(set(first + second))
    kept = draw(st.lists(st.sampled_from(letters), unique=True)) if letters else []
    return contract(f"{first},{second}->{''.join(kept)}", a, b)


def normaliser(x: Node) -> Node:
    """The sum of e^x, in the shape of x."""
    total = reduce_sum(make(e.Exp(), x), (x.type.rank - 1,))
    return broadcast(total, x.type.shape, tuple(range(x.type.rank - 1)))


def formula(draw: Draw, pool: list[Node]) -> Node:
    """A formula that some rule knows."""
    x = draw(st.sampled_from([n for n in pool if n.type.rank]))
    one = constant(1, x.type.shape, "f64")
    exponential = make(e.Exp(), x)
    match draw(st.integers(0, 9)):
        case 0:
            return make(e.Log(), reduce_sum(exponential, (0,)))
        case 1:
            return e.div(exponential, normaliser(x))
        case 2:
            return make(e.Log(), e.div(exponential, normaliser(x)))
        case 3:
            return make(e.Log1p(), exponential)
        case 4:
            return make(e.Log(), draw(st.permutations([make(e.Sigmoid(), x), e.add(x, one)]))[0])
        case 5:
            return make(e.Log(), e.sub(one, make(e.Sigmoid(), x)))
        case 6:
            return e.div(1, make(e.Sqrt(), x))
        case 7:
            rows = broadcast(x, (*x.type.shape, 3), tuple(range(x.type.rank)))
            columns = broadcast(x, (3, *x.type.shape), tuple(range(1, x.type.rank + 1)))
            if rows.type.shape != columns.type.shape:
                return rows
            return reduce_sum(e.mul(rows, columns), (draw(st.integers(0, x.type.rank)),))
        case 8:
            return make(BatchReduce("sum"), lift(e.mul(x, x)))
        case _:
            return e.power(x, draw(st.sampled_from([0, 1, 2, -1, 0.5])))


OFTEN = (formula, unary, binary, moved, windowed)
GROWTH = (*OFTEN, *OFTEN, binary, choice, reduced, over_batch, lifted, contracted)


@st.composite
def graphs(draw: Draw, *, steps: int = 12) -> Graph:
    """A graph of some operations, with the gradient of one of its values."""
    pool = sources(draw)
    for _ in range(draw(st.integers(steps // 2, steps))):
        try:
            node = draw(st.sampled_from(GROWTH))(draw, [*pool, *pool[-3:] * 3])
        except TypeRuleError:
            continue
        if node.type.size <= 600 and node.type.rank <= 4:
            pool.append(node)
    roots = pool[-4:]
    if draw(st.booleans()):
        total = reduce_sum(roots[-1], tuple(range(roots[-1].type.rank)))
        roots += gradients(total, pool[:4])
    return Graph("random", tuple(Output("output", f"o{i}", r) for i, r in enumerate(roots)))


def environment(graph: Graph, batch: int, seed: int = 0) -> Environment:
    """Positive and negative numbers for every source of the graph."""
    rng = np.random.default_rng(seed)
    values: dict = {}
    for node in toposort(graph.roots):
        if isinstance(node.op, Source) and node.op.space != "scalar":
            shape = (batch,) * node.op.batched + node.op.shape
            values[node.op.space, node.op.name] = rng.uniform(-2, 2, shape)
    return Environment(values, batch, seed, 3)


def noisy(graph: Graph, env: Environment, seed: int) -> dict:
    """The results when every rounding errs by up to 1e-12: their spread is what rounding may do."""
    rng = np.random.default_rng(seed)
    values: dict[Node, np.ndarray] = {}
    with np.errstate(all="ignore"):
        for node in graph.nodes():
            value = node.op.evaluate(env, node, *(values[a] for a in node.args))
            exact = isinstance(node.op, Movement | Source | Table | Constant | Iota | Lift)
            whole = np.all(value == np.rint(value))
            noise = rng.uniform(-1e-12, 1e-12, value.shape)
            values[node] = value if exact or whole else value * (1 + noise)
    return {(o.space, o.name): values[o.node] for o in graph.outputs}

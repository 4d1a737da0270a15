"""Random functions: graphs whose results go to outputs, to results and back into what they read.

Values stay moderate and operations continuous, so that native code and interpreter may be compared
to rounding; jumps (comparisons, argmax) see sources only.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from netc.compiler.derive.reverse import gradients
from netc.compiler.ir.graph import Graph, Node, Output, make, rebuild
from netc.compiler.ir.interpret import evaluate
from netc.compiler.ir.op import Environment
from netc.compiler.ir.types import TypeRuleError
from netc.compiler.ops import elementwise as e
from netc.compiler.ops.contract import Contract
from netc.compiler.ops.reduce import Reduce, reduce_sum
from netc.compiler.ops.source import Iota, Random, Source, constant, source, table
from tests.property.strategies import contracted, lifted, moved, over_batch, windowed

SIZES = (1, 2, 3, 5, 7, 8, 15, 16, 17, 33)
BOUNDED = (e.Tanh, e.Sigmoid, e.Sin, e.Erf, e.Abs, e.Neg, e.StopGradient)
PAIRS = (e.Add, e.Sub, e.Mul, e.Max, e.Min)
JUMPS = (e.Lt, e.Ge, e.Eq, e.And)
PERSISTENT = (("parameter", "w"), ("optimizer", "m"), ("parameter", "s"), ("state", "t"),
              ("parameter", "v"), ("optimizer", "u"), ("state", "c"))  # fmt: skip
BATCHES = (1, 2, 15, 16, 17, 33, 69)


def sources(draw) -> list[Node]:
    n, m = draw(st.sampled_from(SIZES)), draw(st.sampled_from(SIZES))
    shapes = [(n, m), (n, m), (n, n), (n, n), (m,), (m,), ()]
    named = zip(PERSISTENT, shapes, strict=True)
    return [
        source("input", "x", (n,), True, "f64"),
        source("input", "y", (m, 3), True, "f64"),
        source("input", "z", (n, m), True, "f64"),
        *(source(space, name, shape, False, "f64") for (space, name), shape in named),
        make(Random("noise", (n,), True, "f64")),
        make(Random("shared", (n, m), False, "f64")),
        make(Iota(m, "f64")),
        constant(0.5, (n, m), "f64"),
        table(np.arange(n * 1.0) % 3 - 1, "f64"),
    ]


def unary(draw, pool):
    return make(draw(st.sampled_from(BOUNDED))(), draw(st.sampled_from(pool)))


def binary(draw, pool):
    a = draw(st.sampled_from(pool))
    b = draw(st.sampled_from([b for b in pool if b.type.shape == a.type.shape]))
    return make(draw(st.sampled_from(PAIRS))(), a, b)


def jump(draw, pool):
    given = [n for n in pool if isinstance(n.op, Source)]
    a = draw(st.sampled_from(given))
    same = [b for b in pool if b.type.shape == a.type.shape]
    other = draw(st.sampled_from([b for b in same if isinstance(b.op, Source)]))
    condition = make(draw(st.sampled_from(JUMPS))(), a, other)
    return make(e.Where(), condition, draw(st.sampled_from(same)), draw(st.sampled_from(same)))


def reduced(draw, pool):
    x = draw(st.sampled_from([n for n in pool if n.type.rank]))
    axes = tuple(sorted(draw(st.sets(st.integers(0, x.type.rank - 1), min_size=1))))
    kinds = ("sum", "sum", "max", "min", "logsumexp", "prod")
    if isinstance(x.op, Source):
        kinds = (*kinds, "argmax", "argmin")
    return make(Reduce(draw(st.sampled_from(kinds)), axes), x)


def summed(draw, pool):
    """A product summed over the batch, as every gradient of a weight is."""
    batched = [n for n in pool if n.type.batched and n.type.rank <= 2]
    a, b = draw(st.sampled_from(batched)), draw(st.sampled_from(batched))
    first, second = "ab"[: a.type.rank], "cd"[: b.type.rank]
    if a.type.shape[-1:] == b.type.shape[-1:] != () and draw(st.booleans()):
        second = second[:-1] + first[-1]
    out = [c for c in first + second if (c in first) != (c in second) or draw(st.booleans())]
    return make(Contract(f"{first},{second}->{''.join(dict.fromkeys(out))}", sum_batch=True), a, b)


def product(draw, pool):
    """The products of a dense layer: forward, backward, weight gradient; and of two matrices."""
    vectors = [n for n in pool if n.type.batched and n.type.rank == 1]
    matrices = [n for n in pool if not n.type.batched and n.type.rank == 2]
    a, b = draw(st.sampled_from(vectors)), draw(st.sampled_from(vectors))
    w, v = draw(st.sampled_from(matrices)), draw(st.sampled_from(matrices))
    match draw(st.integers(0, 3)):
        case 0:
            return make(Contract("a,ab->b"), a, w)
        case 1:
            return make(Contract("ba,a->b"), w, a)
        case 2:
            return make(Contract("a,b->ab", sum_batch=True), a, b)
    return make(Contract(draw(st.sampled_from(("ab,bc->ac", "ba,bc->ac", "ab,cb->ac")))), w, v)


def epilogue(draw, pool):
    """An elementwise step on a product: what joins its kernel."""
    a = draw(st.sampled_from([n for n in pool if isinstance(n.op, Contract)] or pool))
    b = draw(st.sampled_from([b for b in pool if b.type.shape == a.type.shape]))
    return make(draw(st.sampled_from(PAIRS))(), *draw(st.permutations([a, b])))


PRODUCTS = (product, product, contracted, summed, epilogue)
OTHERS = (binary, binary, unary, moved, moved, windowed, jump, reduced, over_batch, lifted)
GROWTH = (*PRODUCTS, *PRODUCTS, *OTHERS)


@st.composite
def functions(draw, *, steps: int = 18, size: int = 1200) -> Graph:
    """A function in f64; persistent values are often exchanged, transposed and updated in place."""
    pool = sources(draw)
    given = list(pool)
    for _ in range(draw(st.integers(steps // 2, steps))):
        try:
            node = draw(st.sampled_from(GROWTH))(draw, [*pool, *pool[-4:] * 3])
        except TypeRuleError:
            continue
        if node.type.size <= size and node.type.rank <= 4:
            pool.append(node)
    made = [n for n in pool if n not in given]
    if made and draw(st.booleans()):
        total = reduce_sum(made[-1], tuple(range(made[-1].type.rank)))
        pool += gradients(total, given[:6])
    outputs = []
    for (space, name), old in zip(PERSISTENT, given[3:], strict=False):
        fitting = [n for n in pool if n.type.shape == old.type.shape and not n.type.batched]
        if draw(st.integers(0, 3)):
            new = draw(st.sampled_from([*fitting, *fitting[-3:] * 3]))
            update = e.sub(old, e.mul(0.25, new)) if draw(st.booleans()) else new
            outputs.append(Output(space, name, update))
    for i, node in enumerate(dict.fromkeys([*made[-2:], draw(st.sampled_from(pool))])):
        outputs.append(Output("output", f"o{i}", node))
    for i, node in enumerate(n for n in pool[-6:] if n.type.shape == () and not n.type.batched):
        outputs.append(Output("result", f"r{i}", node))
    return Graph("step", tuple(outputs))


def in_single(graph: Graph) -> Graph:
    """The same function in f32."""

    def rule(node: Node, args: tuple[Node, ...]) -> Node:
        op = node.op
        return make(replace(op, precision="f32") if hasattr(op, "precision") else op, *args)

    return rebuild(graph, rule)


def environment(graph: Graph, batch: int) -> Environment:
    """Numbers for every source, equal in f32 and f64."""
    rng = np.random.default_rng(batch)
    values = {}
    for node in graph.nodes():
        if isinstance(node.op, Source):
            shape = (batch,) * node.op.batched + node.op.shape
            values[node.op.space, node.op.name] = np.round(rng.uniform(-2, 2, shape) * 64) / 64
    return Environment(values, batch, seed=5, step=3)


def largest(graph: Graph, env: Environment) -> float:
    """The largest finite number that occurs while the function is computed."""
    found = evaluate(graph.nodes(), env)
    return max(float(np.max(np.abs(v[np.isfinite(v)]), initial=1.0)) for v in found)

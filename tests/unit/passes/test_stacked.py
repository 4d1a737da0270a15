"""One more leading axis: for every op, slice i of the stacked node is the node of slice i."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from netc.compiler.derive.reverse import gradients
from netc.compiler.ir.graph import Node, make
from netc.compiler.ir.interpret import evaluate
from netc.compiler.ir.op import Environment, Sample
from netc.compiler.ops import OPS
from netc.compiler.ops.contract import Contract
from netc.compiler.ops.custom import Custom, placeholder
from netc.compiler.ops.elementwise import Sign, mul
from netc.compiler.ops.orthonormal import Orthonormalise
from netc.compiler.ops.source import SourceForm, source
from netc.compiler.passes.stacked import Unstackable, stacked
from tests.unit.ops.test_ops import draw, mixes

SAMPLES = [sample for op in OPS for sample in op.samples()]
NAMES = [f"{s.op.word}-{s.op}-{s.shapes}" for s in SAMPLES]
COUNT, BATCH = 3, 2


def test_every_op_is_stacked_somewhere():
    """`samples` cover every op but sources and these two, which have tests of their own."""
    assert {op for op in OPS if not op.samples() and not issubclass(op, SourceForm)} == {
        Custom,
        Orthonormalise,
    }


def slices(sample: Sample, mix: tuple[bool, ...], which: int) -> tuple[Node, Node, Node]:
    """The op, the operand that varies, and its stack of operands."""
    pairs = zip(sample.shapes, mix, strict=True)
    args = [source("input", f"x{i}", shape, b, "f64") for i, (shape, b) in enumerate(pairs)]
    own = args[which].type
    vectors = source("input", "vectors", (COUNT, *own.shape), own.batched, "f64")
    return make(sample.op, *args), args[which], vectors


@pytest.mark.parametrize("sample", SAMPLES, ids=NAMES)
def test_slices_of_a_stack(sample: Sample):
    for mix, which in product(mixes(sample), range(len(sample.shapes))):
        node, variable, vectors = slices(sample, mix, which)
        (stack,) = stacked([node], variable, vectors)
        assert stack.type.shape == (COUNT, *node.type.shape)
        assert stack.type.batched == node.type.batched
        values = draw(sample, node.args, BATCH)
        name, lead = f"x{which}", int(variable.type.batched)
        rng = np.random.default_rng(0)
        one = values[name].ravel()
        many = np.stack(
            [rng.permuted(one).reshape(values[name].shape) for _ in range(COUNT)], axis=lead
        )
        env = {("input", k): v for k, v in {**values, "vectors": many}.items()}
        (found,) = evaluate([stack], Environment(env, BATCH))
        for i in range(COUNT):
            single = {**env, ("input", name): np.take(many, i, axis=lead)}
            (expected,) = evaluate([node], Environment(single, BATCH))
            at = np.take(found, i, axis=int(node.type.batched))
            np.testing.assert_allclose(at, expected, rtol=1e-12, atol=1e-13)


def test_what_does_not_vary_is_repeated():
    x, v = source("input", "x", (2,), True, "f64"), source("input", "v", (2,), False, "f64")
    vectors = source("input", "vectors", (3, 2), False, "f64")
    (same,) = stacked([mul(x, x)], v, vectors)
    env = Environment({("input", "x"): np.array([[1.0, 2.0]])}, 1)
    assert evaluate([same], env)[0].tolist() == [[[1, 4]] * 3]


def test_an_op_without_a_rule_is_named():
    x = source("input", "x", (2, 2), False, "f64")
    vectors = source("input", "vectors", (3, 2, 2), False, "f64")
    with pytest.raises(Unstackable, match="Orthonormalise"):
        stacked([make(Orthonormalise(), x)], x, vectors)


def test_a_contraction_of_26_letters_has_none_left():
    x = source("input", "x", (1,) * 26, False, "f64")
    everything = "abcdefghijklmnopqrstuvwxyz"
    vectors = source("input", "vectors", (2, *x.type.shape), False, "f64")
    with pytest.raises(Unstackable, match="letter"):
        stacked([make(Contract(f"{everything},{everything}->"), x, x)], x, vectors)


def test_a_rule_of_ones_own_stays_a_rule():
    """Also where a rule applies a rule: the placeholders of both become stacks."""
    v = source("input", "v", (2,), False, "f64")
    g, inner = placeholder("g", v.type), placeholder("inner", v.type)
    nested = make(Custom(), g, inner, g, mul(inner, 3))
    rule = make(Custom(), make(Sign(), v), g, v, mul(nested, v))
    vectors = source("input", "vectors", (3, 2), False, "f64")
    (stack,) = stacked([rule], v, vectors)
    (slope,) = gradients(stack, [vectors])
    values = np.array([[1.0, -2.0], [3.0, 4.0], [-5.0, 6.0]])
    env = Environment({("input", "vectors"): values}, 1)
    value, first = evaluate([stack, slope], env)
    assert value.tolist() == np.sign(values).tolist()
    assert first.tolist() == values.tolist()
    weight = source("input", "weight", (3, 2), False, "f64")
    (linear,) = gradients(mul(stack, weight), [vectors])
    (again,) = gradients(linear, [weight])
    found = evaluate([again], Environment({**env.values, ("input", "weight"): values * 0}, 1))[0]
    assert found.tolist() == (3 * values).tolist()

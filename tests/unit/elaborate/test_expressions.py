"""Expressions mean what NumPy means on each sample: elaborated in f64, interpreted, compared."""

import numpy as np
import pytest

from tests.prelude.harness import net

BATCH = 5


def value(expression, **inputs):
    """The expression for a batch; inputs are arrays with a leading batch axis."""
    ports = " ".join(f"input {name}: {list(x.shape[1:])}" for name, x in inputs.items())
    return net(f"net T {{ {ports} output y = {expression} }}").output("y", **inputs)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=(BATCH, *shape))


def each(function, *arrays):
    return np.stack([function(*row) for row in zip(*arrays, strict=True)])


ELEMENTWISE = {
    "-x^2": lambda x: -(x**2),
    "2^-2 * x": lambda x: 0.25 * x,
    "x^3": lambda x: x**3,
    "x^-2": lambda x: 1 / x**2,
    "x^0": np.ones_like,
    "abs(x)^0.5": lambda x: np.abs(x) ** 0.5,
    "abs(x)^x": lambda x: np.abs(x) ** x,
    "2^3^2 * x": lambda x: 512 * x,
    "1 - x - 2 - x": lambda x: -1 - 2 * x,
    "x / 2 / 4 * 3": lambda x: x / 8 * 3,
    "x * [1, 2, 3]": lambda x: x * [1, 2, 3],
    "x + [[1], [2]]": lambda x: x + np.array([[1], [2]]),
    "x > 0 and not x > 1 or x < -1": lambda x: (x > 0) & ~(x > 1) | (x < -1),
    "(x > 0) * 3 + (x != x)": lambda x: (x > 0) * 3.0,
    "where(x < 0, 0, x)": lambda x: np.where(x < 0, 0, x),
    "min(max(x, -1), 1)": lambda x: np.clip(x, -1, 1),
    "if 2 > 1 then x else x / 0": lambda x: x,
    "x * (7 / 2) + floor(7 / 2)": lambda x: x * 3.5 + 3,
    "x * size(x) + shape(x)[-1]": lambda x: x * x.size + x.shape[-1],
    "x |> exp |> (z -> z / sum(z))": lambda x: np.exp(x) / np.exp(x).sum(),
    "stop_gradient(x) + iota(3)": lambda x: x + np.arange(3),
}


@pytest.mark.parametrize("expression", ELEMENTWISE)
def test_elementwise(expression):
    x = draw(3)
    expected = each(ELEMENTWISE[expression], x)
    np.testing.assert_allclose(value(expression, x=x), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((3,), (3,)),
        ((3,), (3, 4)),
        ((2, 3), (3,)),
        ((2, 3), (3, 4)),
        ((5, 2, 3), (3, 4)),
        ((3,), (5, 3, 4)),
        ((5, 2, 3), (3,)),
        ((5, 1, 2, 3), (7, 3, 4)),
        ((1, 2, 3), (6, 3, 4)),
        ((6, 2, 3), (1, 3, 4)),
        ((1, 1), (1, 1)),
    ],
)
def test_matrix_product_is_numpys(left, right):
    a, b = draw(*left), draw(*right, seed=1)
    np.testing.assert_allclose(value("a @ b", a=a, b=b), each(np.matmul, a, b), rtol=1e-12)


INDICES = {
    "x[1]": np.s_[1],
    "x[-1]": np.s_[-1],
    "x[1:]": np.s_[1:],
    "x[:-1]": np.s_[:-1],
    "x[0, 2]": np.s_[0, 2],
    "x[.., 0]": np.s_[..., 0],
    "x[1, ..]": np.s_[1],
    "x[1:3, .., 2:4]": np.s_[1:3, ..., 2:4],
    "x[1:3, 2]": np.s_[1:3, 2],
    "x[..]": np.s_[...],
    "x[.., -2:, 1]": np.s_[..., -2:, 1],
}


@pytest.mark.parametrize("expression", INDICES)
def test_indexing_is_numpys(expression):
    x = draw(3, 4, 5)
    index = INDICES[expression]
    np.testing.assert_array_equal(value(expression, x=x), each(lambda row: row[index], x))


@pytest.mark.parametrize("kind", ["sum", "mean", "max", "min", "prod", "logsumexp"])
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), (-1, -2)])
@pytest.mark.parametrize("keep", [False, True])
def test_reductions_are_numpys(kind, axis, keep):
    meaning = getattr(np, kind, None) or (
        lambda row, **options: np.log(np.sum(np.exp(row), **options))
    )
    x = draw(2, 3, 4)
    options = "" if axis is None else f", axis={list(axis) if isinstance(axis, tuple) else axis}"
    found = value(f"{kind}(x{options}, keepdims={str(keep).lower()})", x=x)
    expected = each(lambda row: meaning(row, axis=axis, keepdims=keep), x)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("kind", ["argmax", "argmin"])
@pytest.mark.parametrize("axis", [None, 0, -1])
def test_index_reductions_are_numpys(kind, axis):
    x = draw(3, 4)
    found = value(f"{kind}(x)" if axis is None else f"{kind}(x, axis={axis})", x=x)
    np.testing.assert_array_equal(found, each(lambda row: getattr(np, kind)(row, axis=axis), x))


EINSUMS = ["i,ij->j", "i,ij->ij", "i,ij->", "i,kj->jk"]


@pytest.mark.parametrize("spec", EINSUMS)
def test_einsum_is_numpys(spec):
    a, b = draw(3), draw(3, 4, seed=1)
    expected = each(lambda x, y: np.einsum(spec, x, y), a, b)
    np.testing.assert_allclose(value(f'einsum("{spec}", a, b)', a=a, b=b), expected, rtol=1e-12)


@pytest.mark.parametrize("spec", ["ij->ji", "ij->j", "ij->"])
def test_einsum_of_one_operand(spec):
    a = draw(3, 4)
    expected = each(lambda x: np.einsum(spec, x), a)
    np.testing.assert_allclose(value(f'einsum("{spec}", a)', a=a), expected, rtol=1e-12)


MOVEMENTS = {
    "a'": lambda a: a.T,
    "transpose(a)": lambda a: a.T,
    "transpose(a, [1, 0])": lambda a: a.T,
    "reshape(a, [2, 2, 3])": lambda a: a.reshape(2, 2, 3),
    "flatten(a)": np.ravel,
    "reverse(a)": lambda a: a[::-1, ::-1],
    "reverse(a, axis=1)": lambda a: a[:, ::-1],
    "pad(a, 1)": lambda a: np.pad(a, 1),
    "pad(a, [0, 2], [1, 0])": lambda a: np.pad(a, [(0, 1), (2, 0)]),
    "slice(a, 1, -1, axis=1)": lambda a: a[:, 1:-1],
    "concat(a, a, axis=1)": lambda a: np.concatenate([a, a], 1),
    "stack(a, a, axis=-1)": lambda a: np.stack([a, a], -1),
    "[a, 2 * a]": lambda a: np.stack([a, 2 * a]),
    "broadcast(a[0], [2, 4])": lambda a: np.broadcast_to(a[0], (2, 4)),
    "[[1, 2], [3, 4]] + sum(a) * 0": lambda a: np.array([[1.0, 2], [3, 4]]),
}


@pytest.mark.parametrize("expression", MOVEMENTS)
def test_movements_are_numpys(expression):
    a = draw(3, 4)
    np.testing.assert_array_equal(value(expression, a=a), each(MOVEMENTS[expression], a))


def test_a_label_picks_along_the_last_axis():
    z, labels = draw(4), np.array([0, 3, 2, 1, -1.0])
    unit = net("net T { input z: [4] target t: class[4] missing loss z[t] }")
    expected = [row[int(k)] if k >= 0 else 0 for row, k in zip(z, labels, strict=True)]
    np.testing.assert_array_equal(unit.loss(z=z, t=labels), expected)


def test_labels_pick_position_by_position():
    z, labels = draw(3, 4), np.tile([0.0, 3, 2], (BATCH, 1))
    unit = net("net T { input z: [3, 4] target t: class[4][3] output y = z[t] loss sum(z[t]) }")
    expected = each(lambda row: row[[0, 1, 2], [0, 3, 2]], z)
    np.testing.assert_array_equal(unit.output("y", z=z, t=labels), expected)


def test_where_a_value_is_missing():
    x = np.array([[1.0, np.nan], [np.nan, 2.0]])
    unit = net("net T { input x: [2] missing target t: class[3] missing output a = present(x)"
               " output b = present(t) }")  # fmt: skip
    np.testing.assert_array_equal(unit.output("a", x=x), [[1, 0], [0, 1]])
    np.testing.assert_array_equal(unit.output("b", x=x, t=np.array([2.0, -1.0])), [1, 0])


def test_batch_statistics():
    x = draw(3)
    text = "net T { input x: [3] output y = x - batch_mean(x) + 0 * batch_max(x) * batch_size }"
    np.testing.assert_allclose(net(text).output("y", x=x), x - x.mean(0), atol=1e-12)
    text = "net T { input x: [3] output y = x * 0 + batch_sum(x) / batch_sum(1) + batch_max(2) }"
    np.testing.assert_allclose(net(text).output("y", x=x)[0], x.mean(0) + 2, atol=1e-12)


def test_a_schedule_reads_the_clock():
    unit = net(
        "net T { input x: [] output y = x * 0 + step + 10 * epoch + 100 * epochs }",
        step=7,
        clock={"epoch": 2.0, "epochs": 3.0},
    )
    np.testing.assert_array_equal(unit.output("y", x=np.zeros(2)), [327, 327])

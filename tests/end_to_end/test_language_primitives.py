"""Every primitive from `.net` text in native f64: value, first and second derivative."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import reduce as folded
from pathlib import Path

import numpy as np
import pytest

from netc.compiler.derive.reverse import gradients
from netc.compiler.elaborate.primitives import PRIMITIVES
from netc.compiler.elaborate.program import elaborate
from netc.compiler.ir.graph import Graph, Node, Output, toposort
from netc.compiler.ir.op import Environment
from netc.compiler.ops.elementwise import add, mul
from netc.compiler.ops.reduce import batch_sum, reduce_sum
from netc.compiler.ops.source import Source, source
from netc.compiler.passes.pipeline import BEFORE_DERIVATIVES, run
from netc.grammar.parser import parse
from netc.grammar.source import Source as Text
from tests.end_to_end.language_numbers import SEED, STEP, Array, Draws
from tests.end_to_end.language_operators import OPERATORS
from tests.end_to_end.language_primitives import CASES, ELSEWHERE, Case, Operand
from tests.native import Native

BATCHES = (1, 5, 18)
ALL = [(name, c) for table in (CASES, OPERATORS) for name, cases in table.items() for c in cases]
IDS = [f"{name}: {c.expression} {[o.shape for o in c.operands.values()]}" for name, c in ALL]


def test_every_primitive_has_a_case_or_a_test_of_its_own() -> None:
    assert not set(CASES) & set(ELSEWHERE)
    assert set(PRIMITIVES) == set(CASES) | set(ELSEWHERE)
    root = Path(__file__).parents[2]
    for path, word in ELSEWHERE.values():
        assert word in (root / path).read_text(encoding="utf-8"), (word, path)


# -- from the text to native code ------------------------------------------------------------------


def elaborated(text: str) -> Node:
    """The node of the output `value` of a net, in training."""
    model = elaborate(parse(Text("test.net", text)), precision="f64", defines={})
    return model.training.outputs[0].node


def text_of(case: Case, *, batched: bool) -> str:
    """The net of a case; its real operands are inputs, or parameters."""
    lines = [case.definitions, "net T {"]
    for name, operand in case.operands.items():
        if batched or operand.classes is not None:
            lines.append(f"input {name}: {operand.declared()}")
        else:
            lines.append(f"param {name}: {operand.declared()} = 0")
    return "\n".join([*lines, f"y = {case.expression}", "output value = y", "}"])


def total(x: Node) -> Node:
    """The sum of all elements of all samples."""
    summed = reduce_sum(x, tuple(range(x.type.rank)))
    return batch_sum(summed) if summed.type.batched else summed


def like(name: str, node: Node) -> Node:
    space = "input" if node.type.batched else "parameter"
    return source(space, name, node.type.shape, node.type.batched, "f64")


class Compiled:
    """The value y of a net, f = Σ w y², its gradients g, s = Σ u g, and the gradients of s."""

    def __init__(self, text: str) -> None:
        self.y = elaborated(text)
        objective = total(mul(mul(like("w", self.y), self.y), self.y))
        found = run(Graph("f", (Output("result", "f", objective),)), passes=BEFORE_DERIVATIVES)
        (f,) = found.roots
        named = {n.op.name: n for n in toposort([f, self.y]) if isinstance(n.op, Source)}
        self.sources = {k: n for k, n in named.items() if n.op.space != "scalar"}
        operands = {k: n for k, n in self.sources.items() if k != "w"}
        first = dict(zip(operands, gradients(f, list(operands.values())), strict=True))
        self.towards = {f"u.{k}": like(f"u.{k}", n) for k, n in operands.items()}
        parts = [total(mul(self.towards[f"u.{k}"], g)) for k, g in first.items()]
        s = folded(add, parts)
        second = dict(zip(operands, gradients(s, list(operands.values())), strict=True))
        outputs = [_output("y", self.y), Output("result", "f", f), Output("result", "s", s)]
        outputs += [_output(f"g.{k}", g) for k, g in first.items()]
        outputs += [_output(f"h.{k}", h) for k, h in second.items()]
        self.native = Native(run(Graph("step", tuple(outputs))))

    def __call__(self, values: Mapping[str, Array], batch: int) -> dict[str, Array]:
        nodes = {**self.sources, **self.towards, "w": like("w", self.y)}
        held = {(n.op.space, n.op.name): values[k] for k, n in nodes.items()}
        found = self.native(Environment(held, batch, SEED, STEP))
        return {name: np.asarray(value) for (_, name), value in found.items()}


def _output(name: str, node: Node) -> Output:
    return Output("output" if node.type.batched else "gradient", name, node)


# -- numbers ---------------------------------------------------------------------------------------


def spread(random: np.random.Generator, operand: Operand, batch: int, start: float) -> Array:
    """Labels with some unknown; else evenly spaced numbers in any order, the first at `start`.

    No two are close; the numbers of two operands lie between each other.
    """
    shape = (batch, *operand.shape)
    if operand.classes is not None:
        return random.integers(-1, operand.classes, shape).astype(float)
    unit = (random.permutation(int(np.prod(shape))) + start) / np.prod(shape)
    return (operand.low + (operand.high - operand.low) * unit).reshape(shape)


def slope(f: Callable[[float], float], h: float = 2e-4) -> float:
    """f'(0) by central differences, extrapolated once more (error h^6)."""

    def central(h: float) -> float:
        return (f(h) - f(-h)) / (2 * h)

    once = [(4 * central(h / 2**k / 2) - central(h / 2**k)) / 3 for k in range(2)]
    return (16 * once[1] - once[0]) / 15


def moved(values: Mapping[str, Array], towards: Mapping[str, Array], t: float) -> dict[str, Array]:
    return {k: v + t * towards[k] if k in towards else v for k, v in values.items()}


@pytest.fixture(scope="module")
def passed() -> Iterator[Counter[str]]:
    """How many cases of each name passed: printed at the end under `-s`."""
    counts: Counter[str] = Counter()
    yield counts
    for name, count in sorted(counts.items()):
        print(f"\n{name:14} {count} passed", end="")


@pytest.mark.parametrize("batched", [True, False], ids=["inputs", "parameters"])
@pytest.mark.parametrize(("name", "case"), ALL, ids=IDS)
def test_primitive(name: str, case: Case, batched: bool, passed: Counter[str]) -> None:
    if not batched and not case.shared:
        pytest.skip("a reduction over the samples")
    compiled = Compiled(text_of(case, batched=batched))
    for batch in BATCHES:
        random = np.random.default_rng(zlib.crc32(f"{name} {case.expression} {batch}".encode()))
        Trial(compiled, case, batch, random, batched).check()
    passed[name] += 1


class Trial:
    """One case with numbers: what native code finds against the reference and its slopes."""

    def __init__(
        self, compiled: Compiled, case: Case, batch: int, random: np.random.Generator, batched: bool
    ) -> None:
        self.compiled, self.case, self.batch = compiled, case, batch
        real = {k for k, operand in case.operands.items() if operand.classes is None}
        self.single = set() if batched else real
        rows = {k: 1 if k in self.single else batch for k in case.operands}
        starts = dict(zip(case.operands, (0.37, 0.61, 0.13, 0.83), strict=False))
        self.arrays = {k: spread(random, o, rows[k], starts[k]) for k, o in case.operands.items()}
        self.towards = {k: random.normal(size=self.arrays[k].shape) for k in sorted(real)}
        self.type = compiled.y.type
        self.full = (batch, *self.type.shape) if self.type.batched else self.type.shape
        self.weight = random.normal(size=self.full)
        self.other = {k: random.normal(size=v.shape) for k, v in self.arrays.items()}
        self.draws = (Draws(batch),) if case.random else ()

    def expected(self, t: float) -> Array:
        """The reference at a distance `t` from the numbers."""
        arrays = moved(self.arrays, self.towards, t)
        found = np.asarray(self.case.reference(*self.draws, *arrays.values()), float)
        return np.broadcast_to(found, self.full) if self.type.batched else found.reshape(self.full)

    def native(self, t: float) -> dict[str, Array]:
        values = self.shaped(moved(self.arrays, self.towards, t))
        values |= {f"u.{k}": v for k, v in self.shaped(self.other).items()}
        return self.compiled({**values, "w": self.weight}, self.batch)

    def shaped(self, given: Mapping[str, Array]) -> dict[str, Array]:
        """Without the axis of samples where the net has none."""
        return {k: v[0] if k in self.single else v for k, v in given.items()}

    def along(self, found: Mapping[str, Array], letter: str) -> float:
        """A gradient times the direction."""
        towards = self.shaped(self.towards)
        used = [k for k in towards if k in self.compiled.sources]
        return float(sum(np.sum(found[f"{letter}.{k}"] * towards[k]) for k in used))

    def check(self) -> None:
        found = self.native(0.0)
        np.testing.assert_allclose(found["y"], self.expected(0.0), rtol=1e-12, atol=1e-13)
        first, second = self.along(found, "g"), self.along(found, "h")
        by_reference = slope(lambda t: float(np.sum(self.weight * self.expected(t) ** 2)))
        assert first == pytest.approx(by_reference, rel=1e-6, abs=1e-8)
        by_gradient = slope(lambda t: float(self.native(t)["s"]))
        assert second == pytest.approx(by_gradient, rel=1e-6, abs=1e-7)
        if not self.case.smooth:
            assert first == second == 0.0


# -- where the slope is a convention ---------------------------------------------------------------


def pulled(expression: str, operands: Mapping[str, Array], weight: Array) -> dict[str, Array]:
    """The value of an expression of inputs, and the gradient of Σ weight · value by each."""
    lines = [f"input {k}: {list(v.shape[1:])} missing" for k, v in operands.items()]
    y = elaborated("\n".join(["net T {", *lines, f"y = {expression}", "output value = y", "}"]))
    objective = total(mul(like("w", y), y))
    (f,) = run(Graph("f", (Output("result", "f", objective),)), passes=BEFORE_DERIVATIVES).roots
    named = {n.op.name: n for n in toposort([f, y]) if isinstance(n.op, Source)}
    found = gradients(f, [named[k] for k in operands])
    outputs = [_output("y", y), *(_output(k, g) for k, g in zip(operands, found, strict=True))]
    native = Native(run(Graph("step", tuple(outputs))))
    held = {("input", k): v for k, v in operands.items()}
    held[named["w"].op.space, "w"] = weight
    batch = len(next(iter(operands.values())))
    return {name: v for (_, name), v in native(Environment(held, batch)).items()}


@pytest.mark.parametrize(
    ("expression", "bad"),
    [
        ("where(a > 0, log(a), 0)", (-1, 0, -np.inf)),
        ("where(a > 0, sqrt(a) * rsqrt(a) ^ 3, 0)", (-1, 0)),
        ("where(a != 0, sin(a) / a, 1)", (0,)),
        ("where(a < 5, exp(a^2), 0)", (40, np.inf)),
        ("where(isnan(a), 0, a^3)", (np.nan,)),
        ("sum(where(a > 0, logsumexp(log(stack(a, 2 * a, axis=-1)), axis=-1), 0))", (-1, 0)),
        ("where(sum(a^2, axis=-1, keepdims=true) > 0.01, a / sqrt(sum(a^2)), 0)", ()),
    ],
)
def test_a_branch_not_taken_leaves_no_trace(expression: str, bad: tuple[float, ...]) -> None:
    """Value, first and second derivative are finite, and elsewhere as if it were not there."""
    lines = ["net T {", "input a: [9] missing", f"y = {expression}", "output value = y", "}"]
    compiled = Compiled("\n".join(lines))
    random = np.random.default_rng(4)
    good = random.uniform(0.5, 2, (18, 9))
    rest = {"w": random.normal(size=(18, *compiled.y.type.shape)), "u.a": good[::-1].copy()}
    expected = compiled({"a": good, **rest}, 18)
    if not bad:
        found = compiled({"a": 0 * good, **rest}, 18)
        assert all(np.all(v == 0) for v in found.values())
        return
    spoilt = good.copy()
    spoilt[3, 4], spoilt[17, 0], spoilt[0, 8] = (bad * 3)[:3]
    touched = ~(spoilt == good)
    found = compiled({"a": spoilt, **rest}, 18)
    for name in ("y", "g.a", "h.a"):
        assert np.isfinite(found[name]).all(), name
    rows = touched.any(1)
    for name in ("g.a", "h.a"):
        np.testing.assert_array_equal(found[name][~rows], expected[name][~rows])
        assert np.all(found[name][touched] == 0), name


def test_logsumexp_at_infinities() -> None:
    """An element of -inf has no share, not even among its like; one of inf has all."""
    a = np.array([[-np.inf] * 3, [-np.inf, 0, 0], [np.inf, 1, -np.inf], [np.inf, np.inf, 0]])
    found = pulled("logsumexp(a)", {"a": a}, np.array([2.0, 2, 3, 4]))
    np.testing.assert_array_equal(found["y"], [-np.inf, np.log(2), np.inf, np.inf])
    np.testing.assert_allclose(found["a"], [[0, 0, 0], [0, 1, 1], [3, 0, 0], [4, 4, 0]])
    with_nan = pulled("logsumexp(a)", {"a": np.array([[np.nan, 1], [1, 1]])}, np.ones(2))
    assert np.isnan(with_nan["a"][0]).all()
    np.testing.assert_allclose(with_nan["a"][1], 0.5)


def test_the_first_of_equals_takes_the_gradient_of_an_axis() -> None:
    a = np.array([[2.0, 1, 2], [3, 3, 3], [0, 1, 1]])
    for expression, first in (("max(a)", (0, 0, 1)), ("min(a)", (1, 0, 0))):
        found = pulled(expression, {"a": a}, np.array([1.0, 2, 3]))
        np.testing.assert_array_equal(found["a"], np.eye(3)[list(first)] * [[1], [2], [3]])


def test_equal_samples_share_the_gradient_of_their_maximum() -> None:
    """A minibatch has no order, so the result may not depend on one."""
    a = np.array([[1.0, 5], [4, 5], [4, 5], [4, 0], [0, 0]])
    weight = np.array([[6.0, 3], *[[0, 0]] * 4])
    found = pulled("batch_max(a)", {"a": a}, weight)
    np.testing.assert_array_equal(found["y"], [[4, 5]] * 5)
    np.testing.assert_allclose(found["a"], [[0, 1], [2, 1], [2, 1], [2, 0], [0, 0]])


def test_two_values_on_a_tie_give_the_second_the_gradient() -> None:
    a, b = np.array([[1.0, 2, 3]]), np.array([[1.0, 3, 2]])
    for name, share in (("max", [0.0, 0, 1]), ("min", [0.0, 1, 0])):
        found = pulled(f"{name}(a, b)", {"a": a, "b": b}, np.ones((1, 3)))
        np.testing.assert_array_equal(found["a"], [share])
        np.testing.assert_array_equal(found["b"], [1 - np.array(share)])


def test_slopes_at_kinks() -> None:
    for name in ("abs", "sign", "floor", "ceil", "round"):
        found = pulled(f"{name}(a)", {"a": np.array([[0.0, 1, -2]])}, np.ones((1, 3)))
        slopes = [0, 1, -1] if name == "abs" else [0, 0, 0]
        np.testing.assert_array_equal(found["a"], [slopes])


def test_stop_gradient() -> None:
    a = np.random.default_rng(3).normal(size=(18, 9))
    weight = np.random.default_rng(5).normal(size=(18, 9))
    found = pulled("a * stop_gradient(a^2)", {"a": a}, weight)
    np.testing.assert_allclose(found["y"], a**3, rtol=1e-12)
    np.testing.assert_allclose(found["a"], weight * a**2, rtol=1e-12)


def test_halves_are_rounded_to_even() -> None:
    a = np.array([[-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.49999999999999994, 1e300]])
    found = pulled("round(a)", {"a": a}, np.ones(a.shape))
    np.testing.assert_array_equal(found["y"], [[-2, -2, 0, 0, 2, 2, 0, 1e300]])


def test_the_first_nan_is_the_largest_and_the_smallest() -> None:
    a = np.array([[1.0, np.nan, 3, np.nan]])
    for name in ("argmax", "argmin"):
        assert pulled(f"{name}(a)", {"a": a}, np.ones(1))["y"] == [1]
    for name in ("max", "min"):
        assert np.isnan(pulled(f"{name}(a)", {"a": a}, np.ones(1))["y"]).all()

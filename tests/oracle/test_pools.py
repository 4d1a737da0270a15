"""Pools against PyTorch in f64: values, input gradients and products with the second derivative.

Random windows over sizes round the vector width, 96 in all, each with three batch sizes; half of
the maxima are over a coarse grid, so that windows have ties. PyTorch is no dependency of the
project; without it these tests are skipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.prelude.compiled import Compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

torch = pytest.importorskip("torch", reason="PyTorch is not installed: no oracle to compare with")

TOLERANCE = 1e-8
NETS, POOLS = 12, 8
BATCHES = (1, 5, 18)
SIZES = (1, 2, 3, 5, 7, 8, 9, 13, 15, 16, 17)


@dataclass(frozen=True)
class Pool:
    """One configuration; the tuples have a number for each axis of the window."""

    kind: str
    shape: tuple[int, ...]
    size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    ties: bool

    def text(self, x: str) -> str:
        """The call; a mean is written with the primitive where the prelude takes no dilation."""
        options = f"stride={self._one(self.stride)}, padding={self._one(self.padding)}"
        if set(self.dilation) == {1}:
            return f"{x} |> {self.kind}_pool({self._one(self.size)}, {options})"
        size, dilation = self._one(self.size), self._one(self.dilation)
        return f"window_max({x}, {size}, {options}, dilation={dilation})"

    def _one(self, numbers: tuple[int, ...]) -> str:
        return str(numbers[0]) if len(set(numbers)) == 1 else str(list(numbers))

    def draw(self, batch: int, random: np.random.Generator) -> Array:
        x = random.normal(0, 1, (batch, *self.shape))
        return np.round(x * 2) / 2 if self.ties else x

    def value(self, x: Any) -> Any:
        """The same by PyTorch."""
        f = torch.nn.functional
        line = len(self.size) == 1
        if self.kind == "max":
            pool = f.max_pool1d if line else f.max_pool2d
            return pool(x, self.size, self.stride, self.padding, self.dilation)
        pool = f.avg_pool1d if line else f.avg_pool2d
        return pool(x, self.size, self.stride, self.padding, count_include_pad=True)


def draw_pool(random: np.random.Generator) -> Pool:
    """A configuration that PyTorch takes: padding at most half the window."""
    axes = 1 if random.random() < 0.25 else 2
    kind = str(random.choice(["max", "avg"]))
    dilated = kind == "max" and random.random() < 0.25
    columns = []
    while len(columns) < axes:
        size, stride = int(random.integers(1, 6)), int(random.integers(1, 5))
        padding = int(random.integers(0, size // 2 + 1))
        dilation = int(random.integers(1, 4)) if dilated else 1
        length = int(random.choice(SIZES))
        reach = dilation * (size - 1) + 1
        if reach <= length + 2 * padding and padding < length:
            columns.append((length, size, stride, padding, dilation))
    lengths, *rest = zip(*columns, strict=True)
    channels = int(random.choice([1, 2, 3, 8]))
    return Pool(kind, (channels, *lengths), *rest, ties=random.random() < 0.5)


def pools(number: int) -> list[Pool]:
    random = np.random.default_rng(number)
    return [draw_pool(random) for _ in range(POOLS)]


def compiled(cases: list[Pool]) -> Compiled:
    lines = [f"input x{i}: {list(case.shape)}" for i, case in enumerate(cases)]
    for i, case in enumerate(cases):
        lines += [f"y{i} = {case.text(f'x{i}')}", f"output z{i} = y{i}"]
        lines.append(f"loss sum(sin(y{i}) + 0.3 * y{i}^2)")
    names = tuple(f"x{i}" for i in range(len(cases)))
    return Compiled("net T {\n" + "".join(f"  {line}\n" for line in lines) + "}", names)


def expected(case: Pool, x: Array, towards: Array) -> tuple[Array, Array, Array]:
    """Value, gradient, and the derivative of the gradient's component along `towards`."""
    leaf = torch.tensor(x, requires_grad=True)
    value = case.value(leaf)
    loss = (torch.sin(value) + 0.3 * value**2).sum()
    (gradient,) = torch.autograd.grad(loss, leaf, create_graph=True)
    (turn,) = torch.autograd.grad((gradient * torch.tensor(towards)).sum(), leaf)
    return tuple(t.detach().numpy() for t in (value, gradient, turn))


@pytest.mark.parametrize("number", range(NETS))
def test_pools(number: int) -> None:
    cases = pools(number)
    net = compiled(cases)
    for batch in BATCHES:
        random = np.random.default_rng([number, batch])
        at = {f"x{i}": case.draw(batch, random) for i, case in enumerate(cases)}
        towards = {name: random.normal(0, 1, value.shape) for name, value in at.items()}
        found = net(at, towards)
        for i, case in enumerate(cases):
            there = expected(case, at[f"x{i}"], towards[f"x{i}"])
            for name, value in zip((f"z{i}", f"d/x{i}", f"dd/x{i}"), there, strict=True):
                scale = max(1.0, float(np.abs(value).max()))
                message = f"{name} of {case} in a batch of {batch}"
                np.testing.assert_allclose(
                    found[name], value, rtol=0, atol=TOLERANCE * scale, err_msg=message
                )


def test_the_configurations_cover_what_they_should() -> None:
    every = [case for number in range(NETS) for case in pools(number)]
    assert len(every) == 96
    assert len(set(every)) > 90
    maxima = [case for case in every if case.kind == "max"]
    assert sum(case.ties for case in maxima) >= 10
    assert sum(max(case.padding) > 0 for case in maxima) >= 10
    assert sum(max(case.dilation) > 1 for case in maxima) >= 5
    assert sum(max(case.size) > 3 for case in every) >= 20
    assert sum(len(case.size) == 1 for case in every) >= 10

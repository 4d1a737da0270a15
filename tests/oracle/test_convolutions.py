"""Convolutions and their transposes against PyTorch in f64: values and every gradient.

Random windows over sizes round the vector width, 144 in all, each with three batch sizes; nine of
them make one net, so that a gradient of one does not reach another. PyTorch is no dependency of the
project; without it these tests are skipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import netc

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

torch = pytest.importorskip("torch", reason="PyTorch is not installed: no oracle to compare with")

TOLERANCE = 1e-8
NETS, EACH = 16, 9
BATCHES = (1, 5, 18)
LENGTHS = (1, 2, 3, 5, 7, 8, 9, 13, 15, 16, 17)
CHANNELS = (1, 2, 3, 4, 5, 7, 8, 9, 12)


@dataclass(frozen=True)
class Case:
    """One configuration; the tuples have a number for each axis of the window."""

    transposed: bool
    channels: int
    filters: int
    groups: int
    length: tuple[int, ...]
    size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]

    @property
    def image(self) -> tuple[int, ...]:
        return (self.channels, *self.length)

    @property
    def weights(self) -> tuple[int, ...]:
        outer, inner = self.filters, self.channels
        if self.transposed:
            outer, inner = inner, outer
        return (outer, inner // self.groups, *self.size)

    def lines(self, i: int) -> list[str]:
        """The statements of this case in a net, with names that end in its number."""
        name = "convolve_transpose" if self.transposed else "convolve"
        options = ", ".join(
            f"{key}={list(getattr(self, key))}" for key in ("stride", "padding", "dilation")
        )
        ones = [1] * len(self.size)
        return [
            f"input x{i}: {list(self.image)}",
            f"param W{i}: {list(self.weights)} = normal(0, 1)",
            f"param b{i}: [{self.filters}] = normal(0, 1)",
            f"y{i} = {name}(x{i}, W{i}, {options}, groups={self.groups})"
            f" + reshape(b{i}, {[self.filters, *ones]})",
            f"e{i} = sum(sin(y{i}) + 0.3 * y{i}^2)",
            f"loss e{i}",
            f"output z{i} = y{i}",
            f"output gx{i} = grad(e{i}, x{i})",
        ]

    def value(self, x: Any, w: Any, b: Any) -> Any:
        """The same by PyTorch."""
        f = torch.nn.functional
        options = {"stride": self.stride, "padding": self.padding, "dilation": self.dilation}
        axes = len(self.size)
        if self.transposed:
            function = (f.conv_transpose1d, f.conv_transpose2d)[axes - 1]
        else:
            function = (f.conv1d, f.conv2d)[axes - 1]
        return function(x, w, b, groups=self.groups, **options)


def draw_case(random: np.random.Generator) -> Case:
    """A configuration that has a place on every axis."""
    transposed = bool(random.random() < 0.3)
    axes = 1 if random.random() < 0.3 else 2
    columns: list[tuple[int, ...]] = []
    while len(columns) < axes:
        length, size = int(random.choice(LENGTHS)), int(random.integers(1, 6))
        stride, padding = int(random.integers(1, 4)), int(random.integers(0, 4))
        dilation = int(random.integers(1, 4)) if random.random() < 0.3 else 1
        reach = dilation * (size - 1) + 1
        spread = (length - 1) * stride + reach - 2 * padding
        if (spread if transposed else length + 2 * padding - reach + 1) >= 1:
            columns.append((length, size, stride, padding, dilation))
    groups = int(random.choice([1, 1, 1, 2, 3]))
    channels, filters = (groups * int(random.choice(CHANNELS[: 9 // groups])) for _ in range(2))
    rest = zip(*columns, strict=True)
    return Case(transposed, channels, filters, groups, *rest)


def cases(number: int) -> list[Case]:
    random = np.random.default_rng([7, number])
    return [draw_case(random) for _ in range(EACH)]


def expected(case: Case, x: Array, w: Array, b: Array) -> list[Array]:
    """Value, and the gradients by image, weights and bias; the loss is a mean over samples."""
    leaves = [torch.tensor(v, requires_grad=True) for v in (x, w, b)]
    value = case.value(*leaves)
    total = (torch.sin(value) + 0.3 * value**2).sum()
    gx, gw, gb = torch.autograd.grad(total, leaves)
    return [t.detach().numpy() for t in (value, gx, gw / len(x), gb / len(x))]


def assert_close(found: Array, wanted: Array, what: str) -> None:
    scale = max(np.abs(wanted).max(), 1.0)
    assert found.shape == wanted.shape, what
    assert np.abs(found - wanted).max() <= TOLERANCE * scale, what


@pytest.mark.parametrize("number", range(NETS))
def test_convolutions(number: int) -> None:
    drawn = cases(number)
    lines = [line for i, case in enumerate(drawn) for line in case.lines(i)]
    text = "net T {\n" + "\n".join(lines) + "\n}"
    model = netc.compile(source=text, precision="f64", seed=number)
    for batch in BATCHES:
        random = np.random.default_rng([number, batch])
        images = {f"x{i}": random.normal(0, 1, (batch, *c.image)) for i, c in enumerate(drawn)}
        outputs = model.forward(training=True, **images)
        model.backward()
        for i, case in enumerate(drawn):
            w, b = model.params[f"W{i}"], model.params[f"b{i}"]
            wanted = expected(case, images[f"x{i}"], np.array(w), np.array(b))
            found = [
                outputs[f"z{i}"],
                outputs[f"gx{i}"],
                model.grads[f"W{i}"],
                model.grads[f"b{i}"],
            ]
            for part, name in enumerate(("value", "image", "weights", "bias")):
                assert_close(found[part], wanted[part], f"{name}, batch {batch}: {case}")

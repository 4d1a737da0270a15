"""The checks of optimizers: steps against NumPy, and the derivatives of a step by the gradient.

Invariant: native code in f64, parameters of many sizes at once; an optimizer is elementwise, so one
move of all elements together gives the derivative by each.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from netc.compiler.derive.reverse import gradients
from netc.compiler.ir.graph import Graph, Output, make
from netc.compiler.ir.op import Environment
from netc.compiler.ops.elementwise import Mul, Sin, add, mul
from netc.compiler.ops.reduce import reduce_sum
from netc.compiler.ops.scalar import apply
from netc.compiler.ops.source import source
from netc.compiler.passes.pipeline import run
from tests.native import Native
from tests.prelude.checks import bend, close, difference
from tests.prelude.harness import model, stored
from tests.prelude.references.optimizers import OPTIMIZERS, trajectory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netc.compiler.elaborate.model import Update
    from netc.compiler.ir.graph import Node, Space
    from tests.prelude.compiled import Array, Values

SIZES = (1, 6, 7, 16, 17)
STEPS = 10


@dataclass(frozen=True)
class Optimizing:
    """One optimizer with its default arguments."""

    name: str

    @cached_property
    def text(self) -> str:
        lines = "".join(f"  param w{i}: [{n}] = 0\n" for i, n in enumerate(SIZES))
        total = " + ".join(f"sum(w{i})" for i in range(len(SIZES)))
        net = f"net T {{\n  input x: []\n{lines}  loss x * ({total})\n}}\n"
        return net + f"train {{ optimizer = {self.name}() }}"

    @cached_property
    def native(self) -> Native:
        outputs = [o for u in model(self.text).updates for o in _outputs(u)]
        return Native(run(Graph("update", tuple(outputs))))

    def values(self) -> int:
        """Ten steps of every parameter."""
        starts, steps = _starts(), _gradients()
        paths = [trajectory(self.name, starts[w], [g[w] for g in steps]) for w in starts]
        found = self._run(steps)
        for i, w in enumerate(starts):
            np.testing.assert_allclose(
                np.array([step["parameter", w] for step in found]),
                np.array(paths[i]),
                rtol=1e-11,
                atol=1e-14,
                err_msg=f"{self.name}, {w}",
            )
        return len(starts) * len(steps)

    def gradients(self) -> int:
        """The derivative of the fourth step by its gradient, against differences in NumPy."""
        starts, (*before, last) = _starts(), _smooth()
        found = self._run([*before, last])[-1]
        for w, start in starts.items():

            def moved(at: Values, w: str = w, start: Array = start) -> Array:
                new = trajectory(self.name, start, [*(g[w] for g in before), at["g"]])[-1]
                return bend(new)

            expected = difference(moved, {"g": last[w]}, "g", np.ones_like(last[w]))
            close(found["gradient", f"d/{w}"], expected, f"{self.name}: derivative by {w}")
        return len(starts)

    def second_derivatives(self) -> int:
        """The second derivative of the fourth step, against differences of the first."""
        *before, last = _smooth()
        found = self._run([*before, last])[-1]
        for w in last:

            def slope(at: Values, w: str = w) -> Array:
                step = {**last, w: at["g"]}
                return self._run([*before, step])[-1]["gradient", f"d/{w}"]

            expected = difference(slope, {"g": last[w]}, "g", np.ones_like(last[w]))
            close(found["gradient", f"dd/{w}"], expected, f"{self.name}: second derivative by {w}")
        return len(last)

    def _run(self, steps: Sequence[Values]) -> list[dict[tuple[Space, str], Array]]:
        """What native code gives at each step."""
        net = model(self.text)
        held: dict[tuple[Space, str], Array] = {("parameter", k): v for k, v in _starts().items()}
        for update in net.updates:
            held |= {("optimizer", n): v for n, v in stored(update.states).items()}
        held |= {("scalar", s.name): np.float64(s.default) for s in net.scalars}
        found = []
        for step, slopes in enumerate(steps, start=1):
            held |= {("gradient", w): g for w, g in slopes.items()}
            found.append(self.native(Environment(held, batch=1, step=step)))
            held |= {k: v for k, v in found[-1].items() if k[0] in ("parameter", "optimizer")}
        return found


def _outputs(update: Update) -> list[Output]:
    """The step of one parameter, and derivatives of its bend by the gradient."""
    w = update.parameter
    by = source("gradient", w, update.new.type.shape, False, "f64")
    first = gradients(_bent(update.new), [by])[0]
    second = gradients(reduce_sum(first, (0,)), [by])[0]
    states = [Output("optimizer", s.name, s.node) for s in update.next_states]
    derived = [Output("gradient", f"d/{w}", first), Output("gradient", f"dd/{w}", second)]
    return [Output("parameter", w, update.new), *states, *derived]


def _bent(new: Node) -> Node:
    """The sum of `bend` over the elements."""
    bent = add(make(Sin(), new), apply(Mul(), mul(new, new), 0.3))
    return reduce_sum(bent, (0,))


def _starts() -> Values:
    random = np.random.default_rng(4)
    return {f"w{i}": random.normal(0, 1, n) for i, n in enumerate(SIZES)}


def _gradients() -> list[Values]:
    """Noisy, and by element: growing, shrinking, changing sign, absent at first, tiny."""
    random = np.random.default_rng(5)
    found = []
    for k in range(1, STEPS + 1):
        patterns = (1, 1.5**k, 0.6**k, (-1.0) ** k, 0.0 if k < 3 else 0.3 * k, 1e-7)
        found.append(
            {
                f"w{i}": np.resize(patterns, n) * (1 + 0.3 * random.normal(0, 1, n))
                for i, n in enumerate(SIZES)
            }
        )
    return found


def _smooth() -> list[Values]:
    """Four gradients, the last one large beside a finite difference."""
    random = np.random.default_rng(6)
    last = {
        f"w{i}": random.choice((-1, 1), n) * random.uniform(0.3, 2, n) for i, n in enumerate(SIZES)
    }
    return [*_gradients()[:3], last]


def optimizers() -> list[Optimizing]:
    return [Optimizing(name) for name in OPTIMIZERS]

"""How these tests run `.net` text: elaborated, differentiated and interpreted in f64."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import netc.grammar
from netc.compiler.derive.reverse import gradients
from netc.compiler.elaborate.program import elaborate
from netc.compiler.ir.graph import toposort
from netc.compiler.ir.interpret import evaluate
from netc.compiler.ir.op import Environment
from netc.compiler.ops.source import Source as SourceOp
from netc.grammar.parser import parse
from netc.grammar.source import Source
from netc.grammar.tree import Definition

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from netc.compiler.elaborate.model import Model, Stored, Values
    from netc.compiler.ir.graph import Node, Space

    Array = NDArray[np.float64]

PRELUDE = Path(netc.grammar.__file__).parent / "prelude"


def definitions(room: str) -> list[Definition]:
    """What `room`.net of the prelude defines, in its order."""
    path = PRELUDE / f"{room}.net"
    items = parse(Source(path.name, path.read_text(encoding="utf-8"))).items
    return [item for item in items if isinstance(item, Definition)]


@cache
def model(text: str) -> Model:
    """The text, elaborated in f64."""
    return elaborate(parse(Source("test.net", text)), precision="f64", defines={})


def stored(values: Sequence[Stored], seed: int = 0) -> dict[str, Array]:
    """Initial values by name, drawn with `seed`."""
    env = Environment({}, seed=seed, step=0)
    nodes = [v.initial for v in values]
    arrays = evaluate(nodes, env)
    return {v.name: np.asarray(a, np.float64) for v, a in zip(values, arrays, strict=True)}


@dataclass(frozen=True)
class Net:
    """A net with its parameters, ready to be evaluated in one of its two modes."""

    model: Model
    parameters: Mapping[str, Array]
    training: bool = False
    seed: int = 0
    step: int = 1
    clock: Mapping[str, float] | None = None

    @property
    def values(self) -> Values:
        return self.model.training if self.training else self.model.inference

    def environment(self, **ports: Array) -> Environment:
        held: dict[tuple[Space, str], Array] = {("input", k): v for k, v in ports.items()}
        held |= {("parameter", k): v for k, v in self.parameters.items()}
        held |= {("state", k): v for k, v in stored(self.model.states).items()}
        clock = {"epoch": 1.0, "steps": 1.0, "epochs": 1.0, **(self.clock or {})}
        held |= {("scalar", k): np.float64(v) for k, v in clock.items()}
        held |= {("scalar", s.name): np.float64(s.default) for s in self.model.scalars}
        return Environment(held, batch=_batch(ports), seed=self.seed, step=self.step)

    def output(self, name: str, **ports: Array) -> Array:
        node = next(o.node for o in self.values.outputs if o.name == name)
        return _one(node, self.environment(**ports))

    def loss(self, **ports: Array) -> Array:
        assert self.values.loss is not None
        return _one(self.values.loss, self.environment(**ports))

    def penalty(self) -> float:
        assert self.values.penalty is not None
        return float(_one(self.values.penalty, self.environment()))

    def gradient(self, of: Node, space: Space, name: str, **ports: Array) -> Array:
        """The derivative of `of`, summed over the samples, by a source of the net."""
        source = next(s for s in _sources([of]) if (s.op.space, s.op.name) == (space, name))
        return _one(gradients(of, [source])[0], self.environment(**ports))


def net(text: str, **options: object) -> Net:
    """The net of a text with its initial parameters."""
    elaborated = model(text)
    return Net(elaborated, stored(elaborated.parameters), **options)  # type: ignore[arg-type]


def slope(function: object, x: Array, step: float = 1e-5) -> Array:
    """Central differences of a function of independent rows: its row sums by each element of x."""
    assert callable(function)
    result = np.empty_like(x)
    for index in np.ndindex(x.shape[1:]):
        move = np.zeros_like(x)
        move[(slice(None), *index)] = step
        change = np.asarray(function(x + move)) - np.asarray(function(x - move))
        result[(slice(None), *index)] = change.reshape(len(x), -1).sum(1) / (2 * step)
    return result


def _one(node: Node, env: Environment) -> Array:
    return np.asarray(evaluate([node], env)[0], np.float64)


def _batch(ports: Mapping[str, Array]) -> int:
    return len(next(iter(ports.values()))) if ports else 1


def _sources(roots: Sequence[Node]) -> Iterator[Node]:
    return (n for n in toposort(roots) if isinstance(n.op, SourceOp))

"""Every call in the tables of references as a net with inputs of many sizes.

Invariant: sizes reach below, at and above the width of a vector, 1 and primes among them; inputs
keep clear of the kinks by more than a finite difference.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from tests.prelude.checks import BEND, SIZES, Subject
from tests.prelude.compiled import CLOCK
from tests.prelude.harness import net
from tests.prelude.reference import TABLES
from tests.prelude.references.activations import Activation
from tests.prelude.references.layers import Layer
from tests.prelude.references.losses import LossCase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from tests.prelude.compiled import Values

    Array = NDArray[np.float64]

NEAR = 1e-3
"""How close to a kink an input may be."""


def subjects() -> Iterator[Subject]:
    """Those of every definition that is a function of values, in the order of the tables."""
    for room, table in TABLES.items():
        for name, cases in table.items():
            if room in ("initialisers", "optimizers"):
                continue
            for case in cases:
                yield from _subjects(room, name, case)


def _subjects(room: str, name: str, case: object) -> Iterator[Subject]:
    match case:
        case Activation():
            yield _activation(room, name, case)
        case LossCase():
            yield _loss(room, name, case)
        case Layer():
            yield _layer(room, name, case, training=False)
            yield _layer(room, name, case, training=True)
        case (str() as call, value) if room == "penalties":
            yield _penalty(room, name, call, value)
        case (str() as call, value) if room == "schedules":
            yield _schedule(room, name, call, value)
        case _:
            raise TypeError(f"{room}: the case of {name} is of no known kind")


def renamed(call: str, old: str, new: str) -> str:
    """The call with the name `old` replaced where it stands alone."""
    return re.sub(rf"\b{old}\b(?!\s*=)", new, call)


def _text(ports: list[str], calls: list[str]) -> str:
    lines = [*ports, *(f"output y{i} = {call}" for i, call in enumerate(calls))]
    lines += [f"loss {renamed(BEND, 'y', f'y{i}')}" for i in range(len(calls))]
    return "net T {\n" + "".join(f"  {line}\n" for line in lines) + "}"


def _activation(room: str, name: str, case: Activation) -> Subject:
    names = [f"z{i}" for i in range(len(SIZES))]
    ports = [f"input {z}: [{n}]" for z, n in zip(names, SIZES, strict=True)]

    def draw(batch: int, random: np.random.Generator) -> Values:
        drawn = {z: random.normal(0, 2, (batch, n)) for z, n in zip(names, SIZES, strict=True)}
        return {z: clear(value, case.kinks) for z, value in drawn.items()}

    def reference(at: Values) -> Values:
        return {f"y{i}": case.value(at[z]) for i, z in enumerate(names)}

    text = _text(ports, [renamed(case.call, "z", z) for z in names])
    return Subject(room, name, case.call, text, tuple(names), draw, reference)


def clear(z: Array, kinks: tuple[float, ...]) -> Array:
    """The values, those next to a kink moved away from it."""
    for kink in kinks:
        z = np.where(np.abs(z - kink) < NEAR, kink + 2 * NEAR, z)
    return z


def spread(x: Array) -> Array:
    """The elements of each sample in the same order, at equal distances."""
    ranks = x.reshape(len(x), -1).argsort(1).argsort(1).reshape(x.shape)
    return (ranks + 0.5) / ranks[0].size * 4 - 2


def _loss(room: str, name: str, case: LossCase) -> Subject:
    ports, calls, wrt = [], [], []
    for i, n in enumerate(SIZES):
        call, p, t = case.at(n)
        ports += [f"input p{i}: {p}", f"input t{i}: {t}"]
        calls.append(renamed(renamed(call, "p", f"p{i}"), "t", f"t{i}"))
        wrt += [f"p{i}"] if "class" in t else [f"p{i}", f"t{i}"]

    def draw(batch: int, random: np.random.Generator) -> Values:
        found: Values = {}
        for i, n in enumerate(SIZES):
            seed = int(random.integers(1 << 30))
            found[f"p{i}"], found[f"t{i}"] = case.draws(n, batch, seed)
        return found

    def reference(at: Values) -> Values:
        return {f"y{i}": case.value(at[f"p{i}"], at[f"t{i}"]) for i in range(len(SIZES))}

    label = f"{case.call} {case.p} {case.t}"
    return Subject(room, name, label, _text(ports, calls), tuple(wrt), draw, reference)


SHAPES = ((1,), (7,), (2, 3), (17,), (3, 2, 5))


def _penalty(room: str, name: str, call: str, value: Callable[[Array], float]) -> Subject:
    """Of single parameters, and of all of them as a group."""
    names = [f"w{i}" for i in range(len(SHAPES))]
    lines = [f"param {w}: {list(shape)} = 0" for w, shape in zip(names, SHAPES, strict=True)]
    calls = [f"{i + 1} * {renamed(call, 'w', w)}" for i, w in enumerate(names)]
    calls.append("0.3 * " + renamed(call, "w", 'params("w*")'))
    lines += [f"penalty {one}" for one in calls]

    def draw(batch: int, random: np.random.Generator) -> Values:
        drawn = {w: random.normal(0, 0.7, s) for w, s in zip(names, SHAPES, strict=True)}
        return {w: clear(v, (0.0,)) for w, v in drawn.items()}

    def reference(at: Values) -> Values:
        flat = [at[w].ravel() for w in names]
        total = sum((i + 1) * value(w) for i, w in enumerate(flat))
        return {"objective": np.array(total + 0.3 * value(np.concatenate(flat)))}

    text = "net T {\n  input x: [1]\n" + "".join(f"  {line}\n" for line in lines) + "}"
    return Subject(room, name, call, text, (), draw, reference)


def _schedule(room: str, name: str, call: str, value: Callable[..., float]) -> Subject:
    """As a function of its clock `t`, which any number can be."""
    plain = re.sub(r",? *t=\w+\)$", ")", call)
    inner = plain.removesuffix(")")
    clocked = f"{inner}t=z)" if inner.endswith("(") else f"{inner}, t=z)"
    _, _, steps, epochs = CLOCK

    def draw(batch: int, random: np.random.Generator) -> Values:
        return {"z": random.uniform(0.5, 45, batch)}

    def reference(at: Values) -> Values:
        return {"y0": np.array([value((z, z, steps, epochs)) for z in at["z"]])}

    return Subject(room, name, call, _text(["input z: []"], [clocked]), ("z",), draw, reference)


def _layer(room: str, name: str, case: Layer, *, training: bool) -> Subject:
    """Values and derivatives in inference; in training derivatives only, of the same draws."""
    ports = [f"input x: {list(case.shape)}", f"y = x |> {case.chain}"]
    body = [*ports, "output y0 = y", f"loss {BEND}"]
    text = "net T {\n" + "".join(f"  {line}\n" for line in body) + "}"

    def draw(batch: int, random: np.random.Generator) -> Values:
        start = net(text).parameters
        found = {k: v + random.normal(0, 0.3, v.shape) for k, v in start.items()}
        x = clear(random.normal(0, 1, (batch, *case.shape)), (0.0,))
        return {"x": spread(x) if case.compares else x, **found}

    def reference(at: Values) -> Values:
        short = {k.rsplit(".", 1)[-1]: v for k, v in at.items() if k != "x"}
        return {"y0": case.value(short, at["x"])}

    mode = "training" if training else "inference"
    label = f"{case.chain} {list(case.shape)} in {mode}"
    given = None if training else reference
    return Subject(room, name, label, text, ("x",), draw, given, training, case.coupled)

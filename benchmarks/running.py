"""Training steps and inference of a reference net and its peers, after a check that all agree."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import isfinite
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks import peers
from benchmarks.measure import Timing, Way, calls, interleaved
from benchmarks.nets import random_data

if TYPE_CHECKING:
    from collections.abc import Sequence

    import netc
    from benchmarks.nets import Array, Net
    from netc.model import Precision

CHECKED_STEPS: Final = 3
COMPARED: Final[Sequence[tuple[Precision, int, float, float]]] = (
    ("f64", CHECKED_STEPS, 1e-9, 1e-11),
    ("f32", 1, 1e-5, 1e-4),
)
"""Precision, steps, and what losses and outputs may differ by relative to the largest."""

FIT_ELEMENTS: Final = 1 << 20
"""Input numbers of the data set behind `fit`: 4 MiB, so that a batch is not in the first caches."""

FIT_SECONDS: Final = 0.03
"""A sample of `fit` is longer: each call starts a thread."""


class DisagreementError(Exception):
    """Two implementations do not compute the same: their times mean nothing."""


@dataclass(frozen=True, slots=True)
class NetResult:
    """Timings of one net at one batch size, by kind and by who; "netc" is always there."""

    net: str
    batch: int
    flops: int
    step: dict[str, Timing]
    infer_one: dict[str, Timing]
    infer_batch: dict[str, Timing]


def measure(net: Net, batch: int, names: Sequence[str], seconds: float) -> NetResult:
    """Checks that netc and the peers agree, then times them; `seconds` for each of three kinds."""
    check(net, batch, names)
    model = net.compile()
    x, y = random_data(model.manifest, batch).values()
    others = {name: peers.make(name, net, model) for name in names}
    step = {"netc": calls(model.step, x, y)}
    infer_one = {"netc": calls(model.forward, x[:1])}
    infer_batch = {"netc": calls(model.forward, x)}
    for name, peer in others.items():
        theirs, labels = peer.arrays(x, y)
        step[name] = calls(peer.step, theirs, labels)
        infer_one[name] = calls(peer.forward, theirs[:1])
        infer_batch[name] = calls(peer.forward, theirs)
    rows = batch * max(FIT_ELEMENTS // x.size, 1)
    fit = partial(_fit, model, tuple(random_data(model.manifest, rows).values()), batch)
    step["netc fit"] = Way(fit, FIT_SECONDS)
    return NetResult(
        net.name,
        batch,
        net.flops(model, batch),
        interleaved(step, seconds),
        interleaved(infer_one, seconds / 2),
        interleaved(infer_batch, seconds / 2),
    )


def _fit(model: netc.Model, data: tuple[Array, ...], batch: int, steps: int) -> None:
    model.fit(data, batch=batch, max_steps=steps, shuffle=False, progress=False)


def check(net: Net, batch: int, names: Sequence[str]) -> None:
    """Trains all on the same batches: losses of `step`, of `fit` and of the peers must agree.

    Nothing is drawn. In double precision all steps are compared, in the precision that is timed
    the outputs and the first loss: from there on Adam divides rounding errors by their own size.
    Raises DisagreementError, also when a loss is not finite.
    """
    twin = net.without_draws()
    for precision, steps, loss, output in COMPARED:
        model = net.compile(precision, drawing=False)
        _disturb(model)
        trained = net.compile(precision, drawing=False)
        trained.params.flat, trained.state.flat = model.params.flat, model.state.flat
        others = {name: peers.make(name, twin, model) for name in names}
        x, y = random_data(model.manifest, steps * batch).values()
        parts = list(zip(np.split(x, steps), np.split(y, steps), strict=True))
        for name, peer in others.items():
            found = peer.forward(peer.arrays(*parts[0])[0])
            agree(f"{net.name}, outputs of {name}", found, model.forward(parts[0][0]), output)
        own = [model.step(*part) for part in parts]
        if not all(map(isfinite, own)):
            raise DisagreementError(f"{net.name}: losses {own}")
        trained.fit(x, y, batch=batch, epochs=1, shuffle=False, progress=False)
        agree(f"{net.name}, fit", trained.history["objective"], np.mean(own), loss)
        for name, peer in others.items():
            theirs = [peer.step(*peer.arrays(*part)).item() for part in parts]
            agree(f"{net.name}, losses of {name}", theirs, own, loss)


def _disturb(model: netc.Model) -> None:
    """Moves every parameter and state a little, so that none is 0 or 1 by default."""
    random = np.random.default_rng(1)
    for value in (*model.params.values(), *model.state.values()):
        value[...] += random.uniform(-0.05, 0.05, value.shape)


def agree(what: str, found: object, own: object, tolerance: float) -> None:
    """Equal relative to the largest number."""
    there, here = np.asarray(found), np.asarray(own)
    largest = float(np.abs(here - there).max() / np.abs(here).max())
    if not largest <= tolerance:
        raise DisagreementError(f"{what}: off by {largest:.1e}, {there} instead of {here}")

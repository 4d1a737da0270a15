"""Training steps and inference of a reference net and its peers, after a check that all agree."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import isfinite
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks import peers
from benchmarks.measure import Timing, Way, calls, interleaved
from benchmarks.nets import random_data, step_flops

if TYPE_CHECKING:
    from collections.abc import Sequence

    import netc
    from benchmarks.nets import Array, Net

CHECKED_STEPS: Final = 3
LOSS_TOLERANCE: Final = 1e-5
OUTPUT_TOLERANCE: Final = 1e-4
"""Relative to the largest: two orders of summation in f32, after two and after three updates."""

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
        step_flops(model, batch),
        interleaved(step, seconds),
        interleaved(infer_one, seconds / 2),
        interleaved(infer_batch, seconds / 2),
    )


def _fit(model: netc.Model, data: tuple[Array, ...], batch: int, steps: int) -> None:
    model.fit(data, batch=batch, max_steps=steps, shuffle=False, progress=False)


def check(net: Net, batch: int, names: Sequence[str]) -> None:
    """Trains all on the same batches: losses of `step`, of `fit` and of the peers must agree.

    Raises DisagreementError, also when a loss is not finite.
    """
    model, trained = net.compile(), net.compile()
    x, y = random_data(model.manifest, CHECKED_STEPS * batch).values()
    others = {name: peers.make(name, net, model) for name in names}
    parts = list(zip(np.split(x, CHECKED_STEPS), np.split(y, CHECKED_STEPS), strict=True))
    own = [model.step(*part) for part in parts]
    if not all(map(isfinite, own)):
        raise DisagreementError(f"{net.name}: losses {own}")
    trained.fit(x, y, batch=batch, epochs=1, shuffle=False, progress=False)
    agree(f"{net.name}, fit", trained.history["objective"], np.mean(own), LOSS_TOLERANCE)
    logits = model.forward(x[:batch])
    for name, peer in others.items():
        theirs = [peer.step(*peer.arrays(*part)).item() for part in parts]
        agree(f"{net.name}, losses of {name}", theirs, own, LOSS_TOLERANCE)
        found = peer.forward(peer.arrays(*parts[0])[0])
        agree(f"{net.name}, outputs of {name}", found, logits, OUTPUT_TOLERANCE)


def agree(what: str, found: object, own: object, tolerance: float) -> None:
    """Equal relative to the largest number."""
    there, here = np.asarray(found), np.asarray(own)
    largest = float(np.abs(here - there).max() / np.abs(here).max())
    if not largest <= tolerance:
        raise DisagreementError(f"{what}: off by {largest:.1e}, {there} instead of {here}")

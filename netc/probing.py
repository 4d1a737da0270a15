"""Models that show what is inside another: all values on the way are their outputs.

Invariant: the model that is looked into is left as it is.
"""

from __future__ import annotations

from dataclasses import replace

from netc.model import Model


def probed(model: Model, *, training: bool, targets: bool = True, indices: bool = False) -> Model:
    """A model of the same net whose outputs are all values on the way, with their gradients.

    Both its modes are one mode of the net. A gradient is named `gradient <value>`. Targets are
    inputs of it; without `targets` it has none, no gradients, and no value that depends on one.
    `follow` gives it its values. With `indices` its outputs are the indices to be checked instead.
    """
    program = model._program.probed(training=training, targets=targets, indices=indices)
    return Model(program, defines={}, seed=model.seed, threads=model.threads)


def held(model: Model) -> Model:
    """A model whose output is the objective of the net in training mode, for each sample the same.

    What `stop_gradient` holds is an input `held 0`, `held 1`, …; `follow` gives it its values.
    """
    return Model(model._program.held(), defines={}, seed=model.seed, threads=model.threads)


def follow(probed: Model, model: Model) -> None:
    """Gives a probed model the values, numbers, seed and counters that its model has now."""
    probed.params.flat = model.params.flat
    probed.state.flat = model.state.flat
    probed.scalars.update({n: v for n, v in model.scalars.items() if n in probed.scalars})
    probed.seed, probed.threads = model.seed, model.threads
    probed._executable.counters = replace(model._executable.counters)

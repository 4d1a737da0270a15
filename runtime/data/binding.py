"""A source's samples, matched with the inputs and targets of a net.

Invariant: readers say what they found; only this file knows how it maps to declared ports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from math import prod
from typing import TYPE_CHECKING, Any

from netc.records import record
from netc.runtime.arrays import Array
from netc.runtime.errors import DataError, count, listing

if TYPE_CHECKING:
    import numpy as np

    from netc.compiler.program import Manifest, PortSpec

Arrays = Mapping[str, Array]


@record
class DataSet:
    """A data source of a net. `test` is the official test part, if the source has one.

    Parts are read when they are called for. `table` says how a table's columns were used, so that
    a later run can use them alike.
    """

    name: str
    train: Callable[[], Arrays]
    test: Callable[[], Arrays] | None = None
    table: Mapping[str, Any] = field(default_factory=dict)

    def scored(self) -> Arrays:
        """The part to measure a net on: the official test part, or everything."""
        return self.test() if self.test is not None else self.train()


@record
class Images:
    """Raw images with labels, and the number that means full brightness.

    `levels` are the labels by their number of classes, where a source has more than one for each
    image.
    """

    pixels: Array  # uint8[n, ...]
    labels: Array  # uint8[n]
    maximum: int
    place: str
    levels: Mapping[int, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.pixels) != len(self.labels):
            raise DataError(
                f"{self.place}: {count(len(self.pixels), 'image')}, "
                f"but {count(len(self.labels), 'label')}"
            )
        if len(self.pixels) == 0:
            raise DataError(f"{self.place}: there are no images")


def bind_images(images: Images, manifest: Manifest, dtype: np.dtype[Any]) -> Arrays:
    """Images scaled to [0, 1] for the only input, labels for the only target."""
    port = only_input(manifest, images.place)
    pixels = fitted(images.pixels, port, images.place)
    if port.kind == "real":
        pixels = pixels.astype(dtype)
        pixels /= images.maximum
    if images.levels:
        labels = _bind_levels(images, manifest)
    else:
        labels = bind_labels(images.labels, manifest, images.place)
    return {port.name: pixels, **labels}


def _bind_levels(images: Images, manifest: Manifest) -> Arrays:
    """For each target the labels with as many classes."""
    found = {}
    for target in manifest.targets:
        labels = images.levels.get(target.classes or 0)
        if labels is None or target.shape not in ((), (1,)):
            known = " and ".join(f"`class[{classes}]`" for classes in images.levels)
            raise DataError(
                f"{images.place} has one label of {known} for each sample, "
                f"target `{target.name}` is neither"
            )
        found[target.name] = labels
    return found


def bind_labels(labels: Array, manifest: Manifest, place: str) -> Arrays:
    """Labels for the only target; a net without targets needs none."""
    match manifest.targets:
        case ():
            return {}
        case (target,):
            if target.shape not in ((), (1,)):
                raise DataError(
                    f"target `{target.name}` expects {list(target.shape)} for each sample, "
                    f"{place} has one label for each sample",
                    f"declare it as `class[{int(labels.max()) + 1}]`",
                )
            return {target.name: labels}
        case several:
            raise DataError(
                f"the net has {len(several)} targets, {place} has one label for each sample",
                "pass an .npz file with arrays named like the inputs and targets",
            )


def only_input(manifest: Manifest, place: str) -> PortSpec:
    """The input of a net that has one."""
    if len(manifest.inputs) == 1:
        return manifest.inputs[0]
    names = listing(p.name for p in manifest.inputs)
    raise DataError(
        f"the net has {len(manifest.inputs)} inputs ({names}), {place} has one array",
        "pass an .npz file with arrays named like the inputs and targets",
    )


def fitted(rows: Array, port: PortSpec, place: str) -> Array:
    """`rows` in the input's shape, when the element counts agree."""
    found = rows.shape[1:]
    if prod(found) != prod(port.shape):
        raise DataError(
            f"input `{port.name}` expects {list(port.shape)} for each sample "
            f"({prod(port.shape):,} numbers), {place} has {list(found)} ({prod(found):,})"
        )
    return rows.reshape(len(rows), *port.shape)

"""Mistakes with values over the data and with operations that belong to initial values."""

from __future__ import annotations

from typing import ClassVar

from netc.grammar.diagnostics import Diagnostic


class InitialOnly(Diagnostic):
    """Some operations make initial values: they are evaluated once, and have no derivative.

    `over_data(e)` is the whole initial value of a `param` or `state`; `orthonormalise(x)` stands
    in an initial value or in an `init`.
    """

    slug: ClassVar[str] = "initial-value-only"
    title: ClassVar[str] = "`{name}` belongs to an initial value"
    label: ClassVar[str] = "{expected}"
    help: ClassVar[str] = "write `{example}`"

    name: str
    expected: str
    example: str


class OverDataDepends(Diagnostic):
    """A value over the data is computed once, before the first step of training.

    It may depend on inputs, targets, constants and earlier values over the data; whatever else it
    depended on would change afterwards.
    """

    slug: ClassVar[str] = "over-data-depends"
    title: ClassVar[str] = "the value over the data of `{name}` depends on {what}"
    label: ClassVar[str] = "only inputs, targets, constants and earlier `over_data` values count"

    name: str
    what: str


class OverDataBatched(Diagnostic):
    """A value over the data is one value for all samples."""

    slug: ClassVar[str] = "over-data-batched"
    title: ClassVar[str] = "the value over the data of `{name}` differs from sample to sample"
    label: ClassVar[str] = "one value for each sample"
    help: ClassVar[str] = "reduce it over the samples: `batch_mean(…)`"

    name: str


class TooFlat(Diagnostic):
    """Only a matrix has rows or columns that can be orthonormal; further axes join the second."""

    slug: ClassVar[str] = "orthonormal-vector"
    title: ClassVar[str] = "`orthonormalise` needs a matrix, found {shape}"
    label: ClassVar[str] = "at least two axes are needed"

    shape: str

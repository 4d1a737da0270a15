"""Mistakes with derivatives: `grad` and its relatives, `gradient` clauses, `objective`."""

from __future__ import annotations

from typing import ClassVar

from netc.grammar.diagnostics import Diagnostic


class NotScalar(Diagnostic):
    """`grad`, `hessian` and `hvp` take one number, for each sample or for the batch."""

    slug: ClassVar[str] = "derivative-of-many"
    title: ClassVar[str] = "`{name}` takes one number, found {found}"
    label: ClassVar[str] = "shape {found}"
    help: ClassVar[str] = "take its `sum(…)`, or all its derivatives by `jacobian(…)`"

    name: str
    found: str


class NotVariable(Diagnostic):
    """A derivative is taken with respect to a named value of the net.

    An input, a binding, a parameter, `params` or a group of parameters. A value that an expression
    makes on the spot is used nowhere else, so nothing can depend on it.
    """

    slug: ClassVar[str] = "not-a-variable"
    title: ClassVar[str] = "`{name}` cannot differentiate with respect to {found}"
    label: ClassVar[str] = "not a named value of the net"
    help: ClassVar[str] = "{hint}"

    name: str
    found: str
    hint: str = ""


class NoDerivative(Diagnostic):
    """Every way from the variable to the value passes an operation that has no derivative.

    Comparisons, `argmax`, `argmin`, `sign`, `floor`, `ceil`, `round` and the like are steps: their
    derivative is 0 wherever it exists. A loss like that trains nothing. `stop_gradient` says that a
    derivative of 0 is meant, a `gradient` clause gives another.
    """

    slug: ClassVar[str] = "not-differentiable"
    title: ClassVar[str] = "{value} has no derivative with respect to {variable}"
    label: ClassVar[str] = "the way is {way}"
    help: ClassVar[str] = "{operation} is a step: use a smooth function or a `gradient` clause"

    value: str
    variable: str
    operation: str
    way: str


class DirectionShape(Diagnostic):
    """The direction of `hvp` has the shape of the variable; for a group it is one vector."""

    slug: ClassVar[str] = "direction-shape"
    title: ClassVar[str] = "the direction of `hvp` has shape {found}"
    label: ClassVar[str] = "expected {expected}, as the variable"

    found: str
    expected: str


class DirectionBatched(Diagnostic):
    """A direction of the samples' own belongs to a variable of their own."""

    slug: ClassVar[str] = "direction-per-sample"
    title: ClassVar[str] = "the direction of `hvp` has one value for each sample"
    label: ClassVar[str] = "the variable has one for all samples"
    help: ClassVar[str] = "take the `batch_mean(…)` of the direction"


class CircularObjective(Diagnostic):
    """`objective` is the mean loss plus the penalties. Neither can be made of it."""

    slug: ClassVar[str] = "circular-objective"
    title: ClassVar[str] = "a {statement} cannot depend on `objective`"
    label: ClassVar[str] = "the objective contains this {statement}"
    help: ClassVar[str] = "name the term that is meant and use its name in both places"

    statement: str


class NoObjective(Diagnostic):
    """`objective` is the mean loss plus the penalties; a net without any has none."""

    slug: ClassVar[str] = "no-objective"
    title: ClassVar[str] = "the net has no objective"
    label: ClassVar[str] = "it has neither `loss` nor `penalty`"


class GradientOfKind(Diagnostic):
    """A `gradient` clause belongs to an `fn`: what it computes depends on its arguments only."""

    slug: ClassVar[str] = "gradient-of-layer"
    title: ClassVar[str] = "{kind} cannot have a `gradient` clause"
    label: ClassVar[str] = "only an `fn` can"
    help: ClassVar[str] = "move what it differentiates to an `fn` that the {word} calls"

    kind: str
    word: str


class TooManyCotangents(Diagnostic):
    """A `gradient` clause has one cotangent for each argument, in order; missing ones are 0."""

    slug: ClassVar[str] = "too-many-cotangents"
    title: ClassVar[str] = "the `gradient` of `{name}` has {found} cotangents"
    label: ClassVar[str] = "one too many: `{name}` has {expected}"

    name: str
    found: str
    expected: str


class CotangentShape(Diagnostic):
    """A cotangent has the shape of its argument, or broadcasts to it."""

    slug: ClassVar[str] = "cotangent-shape"
    title: ClassVar[str] = "the cotangent of `{argument}` has shape {found}"
    label: ClassVar[str] = "`{argument}` has shape {expected}"
    help: ClassVar[str] = "{hint}"

    argument: str
    found: str
    expected: str
    hint: str = ""

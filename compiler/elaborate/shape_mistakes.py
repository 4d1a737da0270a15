"""Mistakes with shapes, sizes and compile-time values. Shapes are those of one sample."""

from __future__ import annotations

from typing import ClassVar

from netc.grammar.diagnostics import Diagnostic


class PatternMismatch(Diagnostic):
    """A value does not fit the shape pattern in the header of what is called."""

    slug: ClassVar[str] = "shape-mismatch"
    title: ClassVar[str] = "`{callee}` expects {expected}, found {found}"
    label: ClassVar[str] = "its {role} has shape {found} for each sample"
    help: ClassVar[str] = "{hint}"

    callee: str
    expected: str
    found: str
    role: str
    hint: str = ""


class BroadcastMismatch(Diagnostic):
    """Broadcasting is NumPy's, on the shapes of one sample.

    Sizes are compared from the last axis; they agree or one of them is 1.
    """

    slug: ClassVar[str] = "broadcast-mismatch"
    title: ClassVar[str] = "shapes {left} and {right} do not fit together in `{operation}`"
    label: ClassVar[str] = "{left} with {right}"
    help: ClassVar[str] = "{hint}"

    operation: str
    left: str
    right: str
    hint: str = ""


class ProductMismatch(Diagnostic):
    """The last axis of the left operand meets the second last (or only) axis of the right one."""

    slug: ClassVar[str] = "product-mismatch"
    title: ClassVar[str] = "`@` cannot multiply {left} by {right}"
    label: ClassVar[str] = "{reason}"
    help: ClassVar[str] = "{hint}"

    left: str
    right: str
    reason: str
    hint: str = ""


class RankMismatch(Diagnostic):
    """An operation that needs more axes than the value has."""

    slug: ClassVar[str] = "rank-mismatch"
    title: ClassVar[str] = "`{operation}` needs {expected}, found {found}"
    label: ClassVar[str] = "shape {found}"
    help: ClassVar[str] = "{hint}"

    operation: str
    expected: str
    found: str
    hint: str = ""


class AxisRange(Diagnostic):
    """An `axis=` outside the axes of one sample."""

    slug: ClassVar[str] = "axis-out-of-range"
    title: ClassVar[str] = "axis {axis} does not exist in {shape}"
    label: ClassVar[str] = "{reason}"
    help: ClassVar[str] = "the batch is never an axis"

    axis: str
    shape: str
    reason: str


class IndexRange(Diagnostic):
    """An index or slice outside the axis."""

    slug: ClassVar[str] = "index-out-of-range"
    title: ClassVar[str] = "index {index} is outside an axis of size {size}"
    label: ClassVar[str] = "axes count from 0, negative from the end"

    index: str
    size: str


class LabelRange(Diagnostic):
    """Labels 0 … K-1 pick from an axis of at least K places."""

    slug: ClassVar[str] = "label-out-of-range"
    title: ClassVar[str] = "labels of {classes} classes pick from an axis of size {size}"
    label: ClassVar[str] = "labels up to {last}, places up to {end}"

    classes: str
    size: str
    last: str
    end: str


class TooManyIndices(Diagnostic):
    """More indices than axes."""

    slug: ClassVar[str] = "too-many-indices"
    title: ClassVar[str] = "{count} indices for the shape {shape}"
    label: ClassVar[str] = "it has {rank} axes"

    count: str
    shape: str
    rank: str


class ReshapeSize(Diagnostic):
    """Reshape keeps the number of elements."""

    slug: ClassVar[str] = "reshape-size"
    title: ClassVar[str] = "{size} elements do not fill {shape}"
    label: ClassVar[str] = "the value has shape {found}, {size} elements; {shape} has {wanted}"

    size: str
    shape: str
    found: str
    wanted: str


class NotASize(Diagnostic):
    """A size is an integer-valued number of at least 1."""

    slug: ClassVar[str] = "not-a-size"
    title: ClassVar[str] = "{what} must be a whole number of at least {least}, found {found}"
    label: ClassVar[str] = "{reason}"

    what: str
    found: str
    least: str
    reason: str = "not a size"


class NotKnown(Diagnostic):
    """Sizes, axes, counts and conditions of `if` are compile-time values.

    They never depend on data or on run-time numbers.
    """

    slug: ClassVar[str] = "not-known-at-compile-time"
    title: ClassVar[str] = "{what} must be known at compile time"
    label: ClassVar[str] = "this is {found}"
    help: ClassVar[str] = "{hint}"

    what: str
    found: str
    hint: str = ""


class BadArithmetic(Diagnostic):
    """Compile-time arithmetic that fails, such as a division by zero."""

    slug: ClassVar[str] = "bad-arithmetic"
    title: ClassVar[str] = "{expression} has no value"
    label: ClassVar[str] = "{reason}"

    expression: str
    reason: str


class EmptyList(Diagnostic):
    """`[]` is the shape of a scalar, never a value."""

    slug: ClassVar[str] = "empty-list"
    title: ClassVar[str] = "an empty list is no tensor"
    label: ClassVar[str] = "a tensor has at least one element"


class UnevenList(Diagnostic):
    """A list is a constant tensor or a stack of equal-shaped tensors."""

    slug: ClassVar[str] = "uneven-list"
    title: ClassVar[str] = "the items of a list must have equal shapes"
    label: ClassVar[str] = "{left} and {right}"

    left: str
    right: str


class BadEinsum(Diagnostic):
    """The specification names the axes of each operand and of the result by letters.

    A letter has one size wherever it stands. Letters that the result lacks are summed over; a
    letter twice in one operand takes its diagonal.
    """

    slug: ClassVar[str] = "bad-einsum"
    title: ClassVar[str] = '`einsum` cannot use "{spec}"'
    label: ClassVar[str] = "{reason}"
    help: ClassVar[str] = "{hint}"

    spec: str
    reason: str
    hint: str = 'the form is "ik,kj->ij": one letter for each axis of each operand'


class ShapeConflict(Diagnostic):
    """An instance has one set of parameters.

    Later applications must agree in shape with the first.
    """

    slug: ClassVar[str] = "parameter-shape-conflict"
    title: ClassVar[str] = "`{name}` has shape {old} already"
    label: ClassVar[str] = "here it would have shape {new}"
    help: ClassVar[str] = "apply an instance to values of one shape"

    name: str
    old: str
    new: str


class InitialShape(Diagnostic):
    """An initial value has the shape of its parameter or broadcasts to it."""

    slug: ClassVar[str] = "initial-value-shape"
    title: ClassVar[str] = "the initial value of `{name}` has shape {found}"
    label: ClassVar[str] = "expected {expected} or a number"

    name: str
    found: str
    expected: str


class InitialDepends(Diagnostic):
    """Initial values are made of constants and random draws."""

    slug: ClassVar[str] = "initial-value-depends"
    title: ClassVar[str] = "the initial value of `{name}` depends on {what}"
    label: ClassVar[str] = "it is computed once, before any data"

    name: str
    what: str


class NoFan(Diagnostic):
    """`fan_in` and `fan_out` need weights [inputs, outputs] or [filters, channels, height, width].

    Scalars and vectors have none.
    """

    slug: ClassVar[str] = "no-fan"
    title: ClassVar[str] = "`{name}` is not defined for the shape {shape}"
    label: ClassVar[str] = "needed by the initialiser"
    help: ClassVar[str] = "give `init=` a number or a law with fixed bounds"

    name: str
    shape: str


class DrawShape(Diagnostic):
    """Inside a param or an init the shape of a draw is the parameter's. Elsewhere it is given."""

    slug: ClassVar[str] = "draw-without-shape"
    title: ClassVar[str] = "`{name}` needs a shape here"
    label: ClassVar[str] = "only an initialiser knows it"
    help: ClassVar[str] = "write it as the last argument: `{name}(…, [n])`"

    name: str


class OpRefused(Diagnostic):
    """The operation's own type rule refuses the operands."""

    slug: ClassVar[str] = "operand-mismatch"
    title: ClassVar[str] = "`{operation}` cannot take these operands"
    label: ClassVar[str] = "{reason}"

    operation: str
    reason: str

"""Mistakes with the windows of convolutions and pools. Sizes are those of one axis."""

from __future__ import annotations

from typing import ClassVar

from netc.grammar.diagnostics import Diagnostic


class WindowTooLarge(Diagnostic):
    """A window stands somewhere on the padded axis; one that reaches further has no place.

    With `dilation=d` a window of k taps reaches over d (k - 1) + 1 elements.
    """

    slug: ClassVar[str] = "window-too-large"
    title: ClassVar[str] = "a window over {reach} does not fit an axis of {padded}"
    label: ClassVar[str] = "{reason}"
    help: ClassVar[str] = "use a smaller window or more padding"

    reach: str
    padded: str
    reason: str


class OnlyPadding(Diagnostic):
    """Each window of a pool covers at least one element: padding is smaller than the window."""

    slug: ClassVar[str] = "only-padding"
    title: ClassVar[str] = "a window of `{operation}` lies wholly in the padding"
    label: ClassVar[str] = "window {place} of {count} along an axis of {length} covers nothing"
    help: ClassVar[str] = "the padding must be smaller than the window"

    operation: str
    place: str
    count: str
    length: str


class WeightMismatch(Diagnostic):
    """Weights are [f, c / groups, …]: c channels of the image of `convolve`, f of its transpose."""

    slug: ClassVar[str] = "weight-mismatch"
    title: ClassVar[str] = "`{operation}`: the weights {weights} do not fit {found} channels"
    label: ClassVar[str] = "these weights take {expected} channels"

    operation: str
    weights: str
    expected: str
    found: str


class GroupMismatch(Diagnostic):
    """Groups share out the filters equally."""

    slug: ClassVar[str] = "group-mismatch"
    title: ClassVar[str] = "{groups} groups do not divide {filters} filters"
    label: ClassVar[str] = "not a divisor of {filters}"

    groups: str
    filters: str

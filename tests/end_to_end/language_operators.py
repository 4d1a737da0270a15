"""Every operator of the language by its form, with a NumPy computation of its own."""

from __future__ import annotations

from typing import Final

import numpy as np

from tests.end_to_end.language_numbers import each, hot
from tests.end_to_end.language_primitives import Case, case, labels

OPERATORS: Final[dict[str, tuple[Case, ...]]] = {
    "+": (case("a + b", lambda a, b: a[:, None] + b, a=(3,), b=(2, 3)),),
    "-": (case("a - 2 - -b", lambda a, b: a - 2 + b, a=(3,), b=(1,)),),
    "*": (case("a * b * a", lambda a, b: a * b[:, None] * a, a=(9,), b=()),),
    "/": (case("a / b", lambda a, b: a / b, a=(3, 3), b=((3, 3), 0.5, 2)),),
    "^": (
        case("-a^2", lambda a: -(a**2), a=(5,)),
        case("a^7 + a^-3", lambda a: a**7 + a**-3.0, a=((5,), -2, -0.5)),
        case("b^2.5 + 2^b", lambda b: b**2.5 + 2**b, b=((3, 2), 0.3, 2)),
        case("b^a", lambda b, a: b**a, b=((9,), 0.3, 2), a=(9,)),
    ),
    "@": (
        case("a @ b", each(np.matmul), a=(3, 5), b=(5, 9)),
        case("a @ b", each(np.matmul), a=(9,), b=(9,)),
        case("a @ b'", each(lambda a, b: a @ b.swapaxes(1, 2)), a=(1, 3, 5), b=(2, 2, 5)),
    ),
    "'": (case("a'", lambda a: a.swapaxes(-1, -2), a=(2, 3, 5)),),
    "comparisons": (
        case(
            "(a < b) + 2 * (a <= b) + 4 * (a > b) + 8 * (a >= b)",
            lambda a, b: np.where(a < b, 3, 12),
            a=(9,),
            b=(9,),
            smooth=False,
        ),
        case(
            "(t == 2) + 2 * (t != 1)",
            lambda t: (t == 2) + 2 * (t != 1),
            t=labels(4, 9),
            smooth=False,
        ),
    ),
    "logic": (
        case(
            "a * (a > 0 and b > 0 or not (a < 1))",
            lambda a, b: a * (((a > 0) & (b > 0)) | (a >= 1)),
            a=(9,),
            b=(9,),
        ),
    ),
    "x[…]": (
        case("a[1]", lambda a: a[:, 1], a=(3, 2)),
        case("a[-1, 1:]", lambda a: a[:, -1, 1:], a=(3, 5)),
        case("a[.., 0]", lambda a: a[..., 0], a=(2, 3, 2)),
        case("a[1:3, .., -2:]", lambda a: a[:, 1:3, :, -2:], a=(3, 2, 5)),
        case("a[:-1] * a[1:]", lambda a: a[:, :-1] * a[:, 1:], a=(9,)),
    ),
    "z[t]": (
        case("a[t]", each(lambda a, t: hot(t, 9) @ a), a=(9,), t=labels(9)),
        case("a[t]", each(lambda a, t: (hot(t, 5) * a).sum(1)), a=(3, 5), t=labels(5, 3)),
        case("a[t]", each(lambda a, t: a @ hot(t, 70)), a=(2, 70), t=labels(70)),
    ),
    "[a, b]": (
        case("[a, 2 * a, b]", lambda a, b: np.stack([a, 2 * a, b + 0 * a], 1), a=(3,), b=(3,)),
        case("a * [1, 2, 3]", lambda a: a * [1, 2, 3], a=(2, 3)),
    ),
    "if": (case("if size(a) > 2 then a^2 else a", lambda a: a**2, a=(3,)),),
}
"""By the form of the expression."""

"""What the initialisers should draw: moments and bounds."""

from __future__ import annotations

from dataclasses import dataclass
from math import erf, exp, inf, pi, sqrt


@dataclass(frozen=True)
class Law:
    """Mean, standard deviation and bounds of a draw of shape [300, 200]."""

    call: str
    mean: float
    std: float
    bound: float = inf


_TRUNCATED = sqrt(1 - 4 * exp(-2) / sqrt(2 * pi) / erf(sqrt(2)))


def _uniform(call: str, variance: float) -> Law:
    return Law(call, 0, sqrt(variance), sqrt(3 * variance))


INITIALISERS: dict[str, tuple[Law, ...]] = {
    "zeros": (Law("zeros", 0, 0, 0),),
    "constant": (Law("constant(0.25)", 0.25, 0, 0),),
    "truncated_normal": (
        Law("truncated_normal", 0, _TRUNCATED, 2),
        Law("truncated_normal(mean=0.5, std=0.1)", 0.5, 0.1 * _TRUNCATED, 0.2),
    ),
    "glorot_uniform": (
        _uniform("glorot_uniform", 2 / 500),
        _uniform("glorot_uniform(gain=16)", 32 / 500),
    ),
    "glorot_normal": (
        Law("glorot_normal", 0, sqrt(2 / 500)),
        Law("glorot_normal(gain=2)", 0, sqrt(4 / 500)),
    ),
    "he_uniform": (_uniform("he_uniform", 2 / 300),),
    "he_normal": (Law("he_normal", 0, sqrt(2 / 300)),),
    "lecun_uniform": (
        _uniform("lecun_uniform", 1 / 300),
        _uniform("lecun_uniform(gain=1/3)", 1 / 900),
    ),
    "lecun_normal": (
        Law("lecun_normal", 0, sqrt(1 / 300)),
        Law("lecun_normal(gain=2)", 0, sqrt(2 / 300)),
    ),
    "fan_out_uniform": (_uniform("fan_out_uniform", 1 / 200),),
    "fan_out_normal": (Law("fan_out_normal", 0, sqrt(1 / 200)),),
    "orthogonal": (
        Law("orthogonal", 0, sqrt(1 / 300)),
        Law("orthogonal(gain=1.5)", 0, 1.5 * sqrt(1 / 300)),
    ),
}

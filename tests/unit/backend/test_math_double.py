"""f64 functions: within 4 ulp of 80-bit references, erf and its inverse of stored exact values."""

import csv
from pathlib import Path

import numpy as np
import pytest

SAMPLES = 1 << 18
SPOTS = Path(__file__).with_name("erf_spots.csv")

pytestmark = [
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
    pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="no wider float to compare with"),
]


def spread(random, low, high):
    """Both signs, every binade between the bounds alike."""
    sizes = np.exp(random.uniform(np.log(low), np.log(high), SAMPLES))
    return sizes * random.choice([-1, 1], SAMPLES)


def wave(random):
    """Ordinary angles, and the doubles next to multiples of pi / 2."""
    near = np.round(random.uniform(0, 6e5, SAMPLES)) * (np.pi / 2)
    return np.concatenate([random.uniform(-1e6, 1e6, SAMPLES), spread(random, 1e-300, 10), near])


def sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


CASES = {
    "exp": (np.exp, lambda r: r.uniform(-708, 709, SAMPLES)),
    "expm1": (np.expm1, lambda r: np.concatenate([spread(r, 1e-300, 40), r.uniform(-2, 2, 4096)])),
    "log": (np.log, lambda r: np.abs(spread(r, 1e-320, 1e308))),
    "log1p": (np.log1p, lambda r: np.concatenate([spread(r, 1e-300, 1), r.uniform(1, 9, 4096)])),
    "tanh": (np.tanh, lambda r: spread(r, 1e-300, 30)),
    "sigmoid": (sigmoid, lambda r: r.uniform(-708, 40, SAMPLES)),
    "sin": (np.sin, wave),
    "cos": (np.cos, wave),
    "sqrt": (np.sqrt, lambda r: np.abs(spread(r, 1e-300, 1e300))),
    "rsqrt": (lambda x: 1 / np.sqrt(x), lambda r: np.abs(spread(r, 1e-300, 1e300))),
}


def distances(found, exact):
    spacing = np.spacing(np.abs(exact).astype(np.float64)).astype(np.longdouble)
    return np.abs((found.astype(np.longdouble) - exact) / spacing)


@pytest.mark.parametrize("name", CASES)
def test_within_four_ulp(name, run, chosen):
    reference, draw = CASES[name]
    x = draw(np.random.default_rng(3))
    exact = reference(x.astype(np.longdouble))
    found = run(name, x, target=chosen)
    distance = distances(found, exact)[np.abs(exact) > np.finfo(np.float64).tiny]
    print(f"{name:8} {chosen.name:8} {float(distance.max()):.2f} ulp (f64)")
    assert distance.max() <= 4.0


def test_power_within_four_ulp(run, chosen):
    random = np.random.default_rng(4)
    x = np.abs(spread(random, 1e-300, 1e300))
    x[: SAMPLES // 3] = random.uniform(0.5, 2, SAMPLES // 3)
    y = random.uniform(-1, 1, SAMPLES) * 700 / np.maximum(np.abs(np.log(x)), 1e-6)
    # 80 bits are too few for the logarithm of a large power: compare where they suffice.
    y = np.where(np.abs(y * np.log(x)) < 64, y, y / 16)
    exact = np.exp2(y.astype(np.longdouble) * np.log2(x.astype(np.longdouble)))
    found = run("pow", x, y, target=chosen)
    distance = distances(found, exact)
    print(f"pow      {chosen.name:8} {float(distance.max()):.2f} ulp (f64)")
    assert distance.max() <= 4.0


@pytest.mark.parametrize("name", ["erf", "erfinv"])
def test_stored_values_of_erf(name, run, chosen):
    with SPOTS.open() as lines:
        rows = [row for row in csv.DictReader(lines) if row["op"] == name]
    x, high, low = (
        np.array([float.fromhex(row[key]) for row in rows])
        for key in ("argument", "result", "remainder")
    )
    assert x.size == 64
    distance = distances(run(name, x, target=chosen), high.astype(np.longdouble) + low)
    print(f"{name:8} {chosen.name:8} {float(distance.max()):.2f} ulp (f64)")
    assert distance.max() <= 4.0

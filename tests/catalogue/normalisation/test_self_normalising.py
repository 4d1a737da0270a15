"""Section 10.4: the map of means and variances through SELU layers, and what it promises."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.optimize import root
from scipy.special import erfc

from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled, differences

MAP = """
## Complementary error function.
fn erfc(x) = 1 - erf(x)

net Moments {
  input p: [4]
  input constants: [2]
  alpha = constants[0]
  lambda = constants[1]
  m = p[0] * p[1]
  v = p[2] * p[3]
  r = sqrt(v)
  e = exp(-m^2 / (2 * v))
  tail = erfc(m / (sqrt(2) * r))
  bent = exp(m + v / 2) * erfc((m + v) / (sqrt(2) * r))
  mean = lambda / 2 * (m * erf(m / (sqrt(2) * r)) + alpha * (bent - tail)
    + sqrt(2 / 3.141592653589793) * r * e + m)
  square = lambda^2 / 2 * ((m^2 + v) * (2 - tail)
    + alpha^2 * (-2 * bent + exp(2 * (m + v)) * erfc((m + 2 * v) / (sqrt(2) * r)) + tail)
    + sqrt(2 / 3.141592653589793) * m * r * e)
  h = [mean, square - mean^2]
  output h
  output J = jacobian(h, p)
  output K = jacobian(h, constants)
}
"""
ALPHA, LAMBDA = 1.673263242354377284817, 1.050700987355480493419


@cache
def moments() -> object:
    return compiled(MAP)


def mapped(point: tuple[float, ...], constants=(ALPHA, LAMBDA)) -> dict[str, np.ndarray]:
    """h, J and K at (mu, omega, nu, tau)."""
    found = moments().forward([point], [constants])
    return {name: value[0] for name, value in found.items()}


SELU = """
net Unit {
  input z: [1]
  output y = selu(z)
}
"""


@cache
def unit() -> object:
    return compiled(SELU)


def quadrature(mu: float, omega: float, nu: float, tau: float) -> tuple[float, float]:
    """Mean and variance of the compiled selu of N(mu omega, nu tau), both sides of its kink."""
    m, r = mu * omega, np.sqrt(nu * tau)
    at, weight = np.polynomial.legendre.leggauss(150)
    below, above = m - 10 * r, m + 10 * r
    z = np.concatenate([at * -below / 2 + below / 2, at * above / 2 + above / 2])
    weight = np.concatenate([weight * -below / 2, weight * above / 2])
    weight = weight * np.exp(-(((z - m) / r) ** 2) / 2) / (r * np.sqrt(2 * np.pi))
    y = unit().forward(z[:, None])[:, 0]
    mean = weight @ y
    return mean, weight @ y**2 - mean**2


POINTS = {
    (0, 0, 1, 1): (0, 1),
    (0.3, 0.7, 1.2, 0.9): (0.215683712963, 1.12239483231),
    (-0.1, 1, 1.5, 1.1): (-0.0330508357918, 1.42780906211),
    (0.1, -0.1, 0.8, 0.95): (-0.0310605017922, 0.803711757679),
}


@experiment("X52", "000.10.4c", where="formulas with `erf`; `selu` under a quadrature")
def test_x52_the_map_in_closed_form_is_the_quadrature() -> None:
    """10.21 and 10.22 give the mean and variance of SELU by quadrature to 1e-10 at four points, as
    (0.215683712963, 1.12239483231) at (μ, ω, ν, τ) = (0.3, 0.7, 1.2, 0.9).
    """
    for point, printed in POINTS.items():
        h = mapped(point)["h"]
        assert h == pytest.approx(quadrature(*point), abs=1e-10)
        assert h == pytest.approx(printed, abs=1e-10)


@experiment("X52", "000.10.4b", where="`selu`; `jacobian(h, constants)` in Newton's method")
def test_x52_the_constants_of_selu() -> None:
    """α = 1.6733 and λ = 1.0507 solve h(0, 1) = (0, 1) with ω = 0, τ = 1; the exact expressions and
    the prelude's digits agree to 1e-12. Below 0 the unit tends to -λα = -1.7581.
    """
    standard = (0, 0, 1, 1)
    found = root(
        lambda c: mapped(standard, c)["h"] - [0, 1],
        [1.5, 1.2],
        jac=lambda c: mapped(standard, c)["K"],
        tol=1e-13,
    )
    assert found.success
    assert found.x == pytest.approx([1.6733, 1.0507], abs=5e-5)
    a, b = erfc(1 / np.sqrt(2)), erfc(np.sqrt(2))
    alpha = np.sqrt(2 / np.pi) / (1 - np.exp(0.5) * a)
    scale = np.sqrt(2 / (1 + alpha**2 * (-2 * np.exp(0.5) * a + np.exp(2) * b + 1)))
    assert found.x == pytest.approx([alpha, scale], abs=1e-12)
    y = unit().forward([[1.0], [-1], [-50]])[:, 0]
    assert y == pytest.approx([scale, scale * alpha * np.expm1(-1), -scale * alpha], abs=1e-12)
    assert -scale * alpha == pytest.approx(-1.758099340847, abs=1e-12)


@experiment("X52", "000.10.4d", where="`jacobian(h, p)` of formulas with `erf`")
def test_x52_fixed_point_and_jacobian() -> None:
    """At the fixed point (0, 1) the Jacobian by (μ, ν) is (0, 0.088835; 0, 0.782648) and its
    spectral norm 0.7877: a contraction. The text prints 0.088834, cut instead of rounded.
    """
    found = mapped((0, 0, 1, 1))
    assert found["h"] == pytest.approx([0, 1], abs=1e-12)
    J = found["J"][:, [0, 2]]
    exact = np.array([[0, 0.0888347551069], [0, 0.782647883197]])
    assert pytest.approx(exact, abs=1e-10) == J
    assert pytest.approx(np.array([[0, 0.088834], [0, 0.782648]]), abs=1e-6) == J
    assert np.linalg.norm(J, 2) == pytest.approx(0.787673360466, abs=1e-10)
    slopes = differences(lambda p: mapped(tuple(p))["h"], [0.3, 0.7, 1.2, 0.9])
    assert mapped((0.3, 0.7, 1.2, 0.9))["J"] == pytest.approx(slopes, abs=1e-8)


TRAJECTORIES = {
    (-1, 0.2): {
        1: (-0.055530186, 0.27182655),
        10: (-0.016013061, 0.85343188),
        40: (-1.1653496e-5, 0.99989733),
    },
    (1, 3): {
        1: (0.17500358, 2.3490622),
        10: (0.011017837, 1.0951264),
        40: (6.5773242e-6, 1.0000579),
    },
    (0, 10): {
        1: (0.6507056, 6.1142231),
        5: (0.12036919, 1.944652),
        20: (0.0018722071, 1.0164332),
        40: (1.3744377e-5, 1.0001211),
    },
}


@experiment("X53", "000.10.4a 000.10.4d", where="the map as a net, applied to its own output")
def test_x53_iterating_the_map() -> None:
    """From (-1, 0.2), (1, 3) and (0, 10) forty steps lead within 2e-5 of mean 0 and 2e-4 of
    variance 1; the variance falls where it is large and rises where it is small.
    """
    for start, printed in TRAJECTORIES.items():
        point = start
        for step in range(1, 41):
            before, point = point, tuple(mapped((point[0], 0, point[1], 1))["h"])
            assert abs(point[1] - 1) < abs(before[1] - 1)
            if step in printed:
                assert point == pytest.approx(printed[step], rel=1e-6)
        assert abs(point[0]) < 2e-5
        assert abs(point[1] - 1) < 2e-4


EXACT = """
init RULE
net Exact {
  input x: [400]
  y = x |> dense(300, bias=false, init=LAW)
  output y
}
"""
RULES = {
    "exact": """exact() {
      w = normal(0, 1)
      c = w - mean(w, axis=0, keepdims=true)
      return c / sqrt(sum(c^2, axis=0, keepdims=true))
    }""",
    "cut": "cut() = truncated_normal(0, sqrt(1 / fan_in) / 0.8796256610342398)",
    "printed": "printed() = truncated_normal(0, sqrt(1 / fan_in / 0.8796))",
}


def sums(law: str) -> tuple[np.ndarray, np.ndarray]:
    """Omega and tau of each of 300 units."""
    text = EXACT.replace("RULE", RULES.get(law, "other() = 0")).replace("LAW", law)
    weights = compiled(text, seed=3).params["y.dense.W"]
    return weights.sum(0), (weights**2).sum(0)


@experiment("X55", "000.10.4e", where="`lecun_normal`, `lecun_uniform`; an `init` of one's own")
def test_x55_sum_and_square_sum_of_weights() -> None:
    """ω = Σ w is 0 and τ = Σ w² is 1: in expectation for N(0, 1/J), the uniform law and the
    truncated one with its standard deviation corrected; to 1e-12 for weights normalised by unit.
    Corrected by 0.8796 as a variance, which the text prints, τ is 0.88.
    """
    for law in ("lecun_normal", "lecun_uniform", "cut"):
        omega, tau = sums(law)
        assert abs(omega.mean()) < 4 / np.sqrt(300)
        assert omega.var() == pytest.approx(1, rel=0.3)
        assert tau.mean() == pytest.approx(1, abs=4 * np.sqrt(2 / 400 / 300))
    omega, tau = sums("exact")
    assert omega == pytest.approx(0, abs=1e-12)
    assert tau == pytest.approx(1, abs=1e-12)
    assert sums("printed")[1].mean() == pytest.approx(0.8796, abs=0.01)

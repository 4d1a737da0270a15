"""Rates that follow the gradients: delta rules, AdaGrad, RMSprop, Adadelta, Adam."""

from __future__ import annotations

import numpy as np
import pytest

from tests.catalogue.experiment import experiment
from tests.catalogue.learning.paths import descent, ellipse, follow, given, pushed

ALTERNATING = (-1.0) ** np.arange(8)

INSIDE = """
optimizer adagrad_inside(lr, eps = 1e-8) {
  state v = 0
  v <- v + g^2
  w <- w - lr * g / sqrt(v + eps)
}
optimizer rmsprop_inside(lr, gamma, eps = 1e-8) {
  state v = 0
  v <- gamma * v + (1 - gamma) * g^2
  w <- w - lr * g / sqrt(v + eps)
}
"""
"""As the text has them, with eps inside the root."""


@experiment("000.7.4.1a", where="`delta_delta` of the prelude; its rate is `lr` plus the state")
def test_000_7_4_1a_rates_grow_by_the_product_of_two_gradients() -> None:
    """η grows by γ g g′: from 0.1 with γ = 0.01 to 0.16 after gradients 2 and 3, and to 0.04 after
    2 and -3; three swings of ±4 make it negative, so that the next step climbs.
    """
    rule = "delta_delta(lr=0.1, gamma=0.01)"
    model = pushed(rule, 3)
    moves = np.diff(follow(model, [[2, 2, 4], [3, -3, -4], [0, 0, 4]]), axis=0)
    assert moves[1, :2] == pytest.approx([-3 * 0.16, 3 * 0.04])
    assert 0.1 + model.optimizer_state["w.gain"][2] == pytest.approx(-0.22)
    assert moves[2, 2] == pytest.approx(0.22 * 4)


PRINTED_BAR = """
optimizer printed(lr = 0.1, kappa = 0.01, phi = 0.1, theta = 0.7) {
  state eta = 0
  state average = 0
  average <- theta * average + (1 - theta) * g
  rate = where(eta == 0, lr, eta)
  agree = average * g
  eta <- where(agree > 0, rate + kappa, where(agree < 0, (1 - phi) * rate, rate))
  w <- w - eta * g
}
"""
"""The rule as printed: its average contains the gradient that it is compared with."""


@experiment("000.7.4.1b", where="`delta_bar_delta` of the prelude")
@pytest.mark.parametrize("theta", [0.1, 0.5, 0.9])
def test_000_7_4_1b_rates_shrink_when_gradients_alternate(theta: float) -> None:
    """From η = 0.1 with κ = 0.01 and φ = 0.1, alternating gradients give 0.1, 0.09, 0.081, 0.0729,
    0.06561 for θ = 0.1, 0.5 and 0.9; compared with an average that contains the gradient, as
    printed, they give 0.11, 0.12, 0.13, 0.14. Constant ones give 0.1, 0.11, 0.12.
    """
    settings = f"(lr=0.1, kappa=0.01, phi=0.1, theta={theta})"

    gradients = np.stack([ALTERNATING, np.ones(8)], axis=1)

    def rates(rule: str) -> np.ndarray:
        return (-np.diff(given(rule + settings, gradients, PRINTED_BAR), axis=0) / gradients).T

    shrinking, growing = rates("delta_bar_delta")
    np.testing.assert_allclose(shrinking, 0.1 * 0.9 ** np.arange(8), rtol=1e-10)
    np.testing.assert_allclose(shrinking[:5], [0.1, 0.09, 0.081, 0.0729, 0.06561], rtol=1e-10)
    np.testing.assert_allclose(growing, 0.1 + 0.01 * np.arange(8), rtol=1e-10)
    np.testing.assert_allclose(rates("printed"), [growing + 0.01] * 2, rtol=1e-10)


@experiment("000.7.4.1b", where="`delta_bar_delta` of the prelude")
def test_000_7_4_1b_a_factor_cannot_make_a_rate_negative() -> None:
    """After 200 swings of the gradient the rate is 0.1·0.9¹⁹⁹, small and still positive."""
    model = pushed("delta_bar_delta(lr=0.1, kappa=0.01, phi=0.1, theta=0.5)")
    follow(model, np.tile(ALTERNATING, 25))
    assert model.optimizer_state["w.eta"] == pytest.approx(0.1 * 0.9**199)


PRINTED_ADAGRAD = """
optimizer by_the_sum(lr, eps = 1e-8) { state v = 0; v <- v + g^2; w <- w - lr * g / (v + eps) }
optimizer unsquared(lr, eps = 1e-8) { state v = 0; v <- v + g; w <- w - lr * g / sqrt(v + eps) }
"""
"""What the text's sentences say: divided by the sum of squares; v = Σ g."""


@experiment("000.7.4.2", where="`adagrad` of the prelude, with eps outside the root")
def test_000_7_4_2_adagrad_divides_by_the_root_of_the_sum_of_squares() -> None:
    """A constant gradient takes steps -0.1/√t whatever its size; the prelude's eps outside the root
    is the same to 1e-8. Divided by the sum of squares itself, steps depend on the size of the
    gradients; with v = Σ g an alternating gradient divides by 0.
    """
    roots = -0.1 / np.sqrt(np.arange(1, 21))
    sizes = np.array([1, 30, -4])
    for rule in ("adagrad(lr=0.1)", "adagrad_inside(lr=0.1)"):
        moves = np.diff(given(rule, np.tile(sizes, (20, 1)), INSIDE), axis=0)
        np.testing.assert_allclose(moves, roots[:, None] * np.sign(sizes), rtol=2e-8)
    first = given("by_the_sum(lr=0.1)", [sizes], PRINTED_ADAGRAD)[1]
    np.testing.assert_allclose(first, -0.1 / sizes, rtol=1e-7)
    swings = given("unsquared(lr=0.1)", ALTERNATING, PRINTED_ADAGRAD)
    assert np.abs(np.diff(swings[:, 0])).max() == pytest.approx(0.1 / np.sqrt(1e-8))


@experiment("000.7.4.3a", where="`rmsprop` of the prelude, with eps outside the root")
def test_000_7_4_3a_rmsprop_forgets_and_does_not_contain_adagrad() -> None:
    """With γ = 0.9 the first step of a constant gradient is -η/√0.1 = -3.16227766 η, later ones
    come to -η. γ = 0 is a step of η against the sign, where the text says AdaGrad.
    """
    for rule in ("rmsprop(lr=0.01, rho=0.9)", "rmsprop_inside(lr=0.01, gamma=0.9)"):
        moves = np.diff(given(rule, np.full(200, 1), INSIDE)[:, 0])
        assert moves[0] == pytest.approx(-0.0316227766, rel=1e-7)
        np.testing.assert_allclose(moves, -0.01 / np.sqrt(1 - 0.9 ** np.arange(1, 201)), rtol=1e-7)
        assert moves[-1] == pytest.approx(-0.01, rel=1e-7)
    gradients = np.random.default_rng(2).normal(size=10)
    sign = -0.01 * np.sign(gradients)
    for rule in ("rmsprop(lr=0.01, rho=0)", "rmsprop_inside(lr=0.01, gamma=0)"):
        np.testing.assert_allclose(np.diff(given(rule, gradients, INSIDE)[:, 0]), sign, rtol=1e-5)
    adagrad = np.diff(given("adagrad_inside(lr=0.01)", gradients, INSIDE)[:, 0])
    assert np.all(np.abs(adagrad[1:]) < 0.99 * 0.01)


PRINTED_ADADELTA = """
optimizer printed(rho = 0.9, eps = 1e-6) {
  state v = 0
  state d = 0
  v <- rho * v + (1 - rho) * g^2
  move = sqrt(d + eps) / sqrt(v + eps) * g
  d <- rho * d + (1 - rho) * move^2
  w <- w + move
}
"""


@experiment("000.7.4.3b", where="`adadelta` of the prelude")
def test_000_7_4_3b_adadelta_descends_with_a_minus_sign_only() -> None:
    """500 steps from (1, 1) with γ = 0.9 and ε = 1e-6, without any rate, bring w1² + 5 w2² from 6
    to 4.8e-5; with the printed sign to 400.2.
    """
    right = ellipse(descent("adadelta(rho=0.9, eps=1e-6)", 500)[-1])
    printed = ellipse(descent("printed()", 500, definitions=PRINTED_ADADELTA)[-1])
    assert right == pytest.approx(4.8e-5, abs=5e-7)
    assert printed == pytest.approx(400.2, abs=0.05)
    first = given("adadelta(rho=0.9, eps=1e-6)", [2])[1, 0]
    assert first == pytest.approx(-2 * np.sqrt(1e-6 / (0.4 + 1e-6)))


@experiment("000.7.4.4", where="`adam_uncorrected` and `adam` of the prelude")
def test_000_7_4_4_the_first_step_of_adam_with_and_without_correction() -> None:
    """The first step is -3.16227766 η sign(g) as the text prints Adam, and -η sign(g) with the
    correction 1/(1 - β^t), which keeps every step of a constant gradient at η; ten steps of random
    gradients agree with (7.42), and taking the previous gradient squared would divide by 0 + ε.
    """
    sizes = np.array([1, -0.02, 300])
    text = given("adam_uncorrected(lr=0.001)", [sizes])[1]
    np.testing.assert_allclose(text, -0.00316227766 * np.sign(sizes), rtol=2e-5)
    corrected = np.diff(given("adam(lr=0.001)", np.tile(sizes, (20, 1))), axis=0)
    np.testing.assert_allclose(corrected, [-0.001 * np.sign(sizes)] * 20, rtol=1e-6)
    gradients = np.random.default_rng(5).normal(size=(10, 3))
    lag = np.arange(10)[:, None] - np.arange(10)
    past = lag >= 0
    m = 0.1 * np.where(past, 0.9 ** np.abs(lag), 0) @ gradients
    v = 0.001 * np.where(past, 0.999 ** np.abs(lag), 0) @ gradients**2
    rule = "adam_uncorrected(lr=0.01, eps=1e-3)"
    moves = np.diff(given(rule, gradients), axis=0)
    np.testing.assert_allclose(moves, -0.01 * m / (np.sqrt(v) + 1e-3), rtol=1e-10)
    ages = np.arange(1, 11)[:, None]
    m, v = m / (1 - 0.9**ages), v / (1 - 0.999**ages)
    moves = np.diff(given("adam(lr=0.01, eps=1e-3)", gradients), axis=0)
    np.testing.assert_allclose(moves, -0.01 * m / (np.sqrt(v) + 1e-3), rtol=1e-10)
    previous = """
    optimizer previous(lr, eps = 1e-8) {
      state m = 0
      state v = 0
      state before = 0
      m <- 0.9 * m + 0.1 * g
      v <- 0.999 * v + 0.001 * before^2
      before <- g
      w <- w - lr * m / (sqrt(v) + eps)
    }
    """
    assert given("previous(lr=0.001)", [1], previous)[1, 0] == pytest.approx(-0.001 * 0.1 / 1e-8)

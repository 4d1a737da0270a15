"""Rules that treat every weight on its own: Quickprop's parabolas and the step sizes of RProp."""

from __future__ import annotations

import numpy as np
import pytest

from tests.catalogue.experiment import experiment
from tests.catalogue.learning.paths import ELLIPSE, descent, given

BARE = """
optimizer bare(lr) {
  state move = 0
  state before = 0
  move <- where(step == 1, -lr * g, g / (before - g) * move)
  before <- g
  w <- w + move
}
"""
"""(7.43) without a guard, after one step of gradient descent."""


@experiment("000.7.5.1", where="`quickprop` of the prelude")
def test_000_7_5_1_quickprop_solves_a_separable_quadratic_in_its_first_jump() -> None:
    """On w1² + 5 w2² from (3, -2) one gradient step of η = 0.01 gives (2.94, -1.8) and one step of
    Quickprop (0, 0), where the prelude's rule stays; the bare formula becomes 0/0 there.
    """
    path = descent("quickprop(lr=0.01, growth=1e3)", 6, (3, -2))
    np.testing.assert_allclose(path[1], (2.94, -1.8), rtol=1e-12)
    np.testing.assert_allclose(path[2:], 0, atol=1e-12)
    bare = descent("bare(lr=0.01)", 2, (3, -2), definitions=BARE)
    np.testing.assert_allclose(bare, path[:3], atol=1e-12)
    # halves and quarters, so that the jump is exact and the next gradients are 0
    exact = descent(
        "bare(lr=0.25)", 4, (4, 0.5), "net Bowl { param w: [2]; penalty sum(w^2) }", BARE
    )
    assert np.array_equal(exact[2], [0, 0])
    assert np.all(np.isnan(exact[4]))


@experiment("000.7.5.1", where="`quickprop` of the prelude")
def test_000_7_5_1_quickprop_is_a_secant_step_and_needs_a_separable_function() -> None:
    """The jump is -g/g′ with g′ the quotient of differences of the last two gradients; with a mixed
    term 2 w1 w2, which no sum of functions of one weight has, two steps do not arrive. No move is
    longer than `growth` times the last one.
    """
    path = given("quickprop(lr=0.1, growth=10)", [2, 1.5])[:, 0]
    slope = (1.5 - 2) / (path[1] - path[0])
    assert path[2] - path[1] == pytest.approx(-1.5 / slope)
    mixed = "net Mixed { param w: [2]; penalty w[0]^2 + 5 * w[1]^2 + 2 * w[0] * w[1] }"
    end = descent("quickprop(lr=0.01, growth=1e3)", 2, (3, -2), mixed)[2]
    assert np.abs(end).max() > 0.1
    moves = np.diff(given("quickprop(lr=0.1, growth=1.75)", [2, 1.9, 2.5, 2.4])[:, 0])
    np.testing.assert_allclose(moves, -0.2 * 1.75 ** np.arange(4), rtol=1e-12)


SIZES = "(lr=0.1, up=1.2, down=0.5)"


@experiment("000.7.5.2", where="`rprop` of the prelude")
def test_000_7_5_2_step_sizes_follow_the_signs_alone() -> None:
    """With η⁺ = 1.2 and η⁻ = 0.5 steps grow 0.1, 0.12, 0.144 while the sign stays and halve when it
    flips, to 0.072 and 0.036; a gradient of 0 moves nothing and leaves them. Gradients a million
    times larger, or each of another size, take the same path.
    """
    signs = np.array([1, 1, 1, -1, 1, 1, 0, 1])
    sizes = [0.1, 0.12, 0.144, 0.072, 0.036, 0.0432, 0.0432, 0.0432]
    random = np.random.default_rng(6).uniform(0.1, 10, 8)
    scales = np.stack([np.ones(8), np.full(8, 1e6), np.full(8, 1e-6), random])
    path, *others = given("rprop" + SIZES, (scales * signs).T).T
    np.testing.assert_allclose(np.diff(path), -np.array(sizes) * signs, rtol=1e-12)
    assert all(np.array_equal(other, path) for other in others)
    limited = given("rprop(lr=0.1, up=1.2, down=0.5, low=0.08, high=0.13)", signs)
    assert np.abs(np.diff(limited[:7, 0])) == pytest.approx([0.1, 0.12, 0.13, 0.08, 0.08, 0.096])


@experiment("000.7.5.2", where="`rprop_backtracking` of the prelude")
def test_000_7_5_2_backtracking_takes_the_last_move_back() -> None:
    """Where the sign flips, the variant with backtracking returns to where it was to the bit; both
    find the bottom of w1² + 5 w2², 1e6 times as steep in the same steps.
    """
    path = given("rprop_backtracking" + SIZES, [1, 1, 1, -1, -1, -1])[:, 0]
    assert path[4] == path[2]
    assert np.diff(path[4:]) == pytest.approx([0.072, 0.072 * 1.2])
    steep = f"{ELLIPSE[:-1]} const c = 1e6; penalty (c - 1) * (w[0]^2 + 5 * w[1]^2) }}"
    for rule in ("rprop", "rprop_backtracking"):
        found = descent(rule + SIZES, 60)
        assert np.abs(found[-1]).max() < 1e-3
        np.testing.assert_allclose(descent(rule + SIZES, 60, net=steep), found, atol=1e-12)

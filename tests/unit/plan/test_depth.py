"""Long expressions are cut into stored pieces: nothing recurses with the length of a text."""

from __future__ import annotations

import numpy as np
import pytest

import netc


@pytest.mark.parametrize("terms", [101, 400, 3000])
def test_a_long_sum_runs(terms):
    text = f"net N {{ input x: [2]; output y = {' + '.join(['x'] * terms)} }}"
    model = netc.compile(source=text, precision="f64")
    np.testing.assert_allclose(model.forward(np.ones((2, 2))), terms)

"""Suggestions for misspelt names."""

import pytest

from netc.grammar.suggest import did_you_mean

NAMES = ["dense", "dense_last", "relu", "prelu", "rrelu", "selu", "elu", "tanh", "x", "y", "lr"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dence", ["dense"]),
        ("dnese", ["dense"]),
        ("Dense", ["dense"]),
        ("rleu", ["relu", "elu", "prelu"]),
        ("tahn", ["tanh"]),
        ("z", []),
        ("l", []),
        ("convolution", []),
        ("dense", []),
    ],
)
def test_nearest_first_and_at_most_three(name, expected):
    assert did_you_mean(name, NAMES) == expected

"""Constants are keyed by bits; random draws are Philox4x32-10 with the published test vectors."""

from __future__ import annotations

import math
from zlib import crc32

import numpy as np
import pytest

from netc.compiler.ir.graph import make
from netc.compiler.ir.interpret import evaluate
from netc.compiler.ir.op import Environment
from netc.compiler.ir.types import TypeRuleError
from netc.compiler.ops.source import Constant, Iota, Random, Table, constant, philox, source, table


def test_constants_are_equal_when_their_bits_are():
    assert constant(0.0, (), "f32") is not constant(-0.0, (), "f32")
    assert constant(math.nan, (), "f32") is constant(-math.nan, (), "f32")
    assert constant(0.1, (), "f32") is constant(float(np.float32(0.1)), (), "f32")
    assert constant(0.1, (), "f64") is not constant(float(np.float32(0.1)), (), "f64")
    assert make(Table((0.0, 1.0), (2,), "f32")) is not make(Table((-0.0, 1.0), (2,), "f32"))


def test_a_table_of_one_number_is_a_constant():
    assert isinstance(table(np.ones((2, 3)), "f32").op, Constant)
    assert isinstance(table(np.array([0.0, -0.0]), "f32").op, Table)


@pytest.mark.parametrize(
    ("counter", "key", "word"),
    [
        ((0, 0, 0, 0), (0, 0), 0x6627E8D5),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, 0x408F276D),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            0xD16CFE09,
        ),
    ],
)
def test_philox_known_answers(counter: tuple, key: tuple, word: int):
    element, sample = (np.array([[c]], np.uint64) for c in counter[:2])
    assert int(philox(element, sample, *counter[2:], key)[0, 0]) == word


def test_a_draw_is_the_same_in_both_precisions_and_open():
    env = Environment({}, batch=50, seed=(7 << 32) | 3, step=(1 << 32) | 5)
    wide, narrow = (
        evaluate([make(Random("h.dropout", (4, 100), True, p))], env)[0] for p in ("f64", "f32")
    )
    assert wide.shape == (50, 4, 100)
    assert np.array_equal(wide, narrow.astype(np.float64))
    assert 0 < wide.min() < 0.001
    assert 0.999 < wide.max() < 1
    assert abs(wide.mean() - 0.5) < 0.01


def test_counter_and_key_of_a_draw():
    env = Environment({}, batch=3, seed=(7 << 32) | 3, step=(1 << 32) | 5)
    found = evaluate([make(Random("p", (2, 2), True, "f64"))], env)[0][2, 1, 0]
    element, sample = np.array([[2]], np.uint64), np.array([[2]], np.uint64)
    word = int(philox(element, sample, 5, 1, (3, crc32(b"p") ^ 7))[0, 0])
    assert found == ((word >> 9) + 0.5) / 2**23


def test_draws_differ_by_path_seed_step_and_sample():
    def draw(path: str = "a", seed: int = 0, step: int = 1) -> np.ndarray:
        env = Environment({}, 2, seed, step)
        return evaluate([make(Random(path, (8,), True, "f64"))], env)[0]

    for other in (draw("b"), draw(seed=1), draw(seed=1 << 40), draw(step=2), draw()[::-1]):
        assert not np.any(draw() == other)


def test_a_source_refuses_another_shape_and_a_missing_value():
    x = source("input", "x", (3,), True, "f32")
    with pytest.raises(ValueError, match=r"'x' has shape \(2,\), expected \(1, 3\)"):
        evaluate([x], Environment({("input", "x"): np.zeros(2)}))
    with pytest.raises(ValueError, match="no value for input 'x'"):
        evaluate([x], Environment({}))


def test_indices_must_be_exact():
    with pytest.raises(TypeRuleError):
        make(Iota((1 << 24) + 1, "f32"))

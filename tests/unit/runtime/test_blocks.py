"""Persistent blocks: live views through strides, the flat vector, the arena's alignment."""

from ctypes import c_uint8

import numpy as np
import pytest

from netc.compiler.program import Block, StoredSpec
from netc.runtime.blocks import HUGE_PAGE, Arena, Values, aligned_bytes
from netc.runtime.errors import DataError


@pytest.fixture
def values():
    block = Block(256, (StoredSpec("a.W", (2, 3), 0, (64, 4)), StoredSpec("a.b", (), 128, ())))
    return Values(block, np.dtype(np.float32), "parameter")


def test_views_are_live_and_follow_the_strides(values):
    values["a.W"][1, 2] = 7
    words = values.memory.view(np.float32)
    assert words[64 // 4 + 2] == 7
    words[128 // 4] = 3
    assert values["a.b"] == 3
    assert values.address % 64 == 0


def test_flat_is_dense_and_row_major(values):
    values["a.W"][...] = np.arange(6).reshape(2, 3)
    values["a.b"][...] = 6
    np.testing.assert_array_equal(values.flat, np.arange(7))
    with pytest.raises(ValueError, match="read-only"):
        values.flat[0] = 1
    values.flat = np.arange(7)[::-1]
    np.testing.assert_array_equal(values["a.W"], [[6, 5, 4], [3, 2, 1]])
    assert values["a.b"] == 0


@pytest.mark.parametrize("wrong", [np.zeros(6), np.zeros((7, 1)), ["a"] * 7])
def test_flat_refuses_other_shapes(values, wrong):
    with pytest.raises(DataError, match="flat vector"):
        values.flat = wrong


def test_unknown_names_get_a_suggestion(values):
    with pytest.raises(KeyError, match=r"did you mean `a\.W`"):
        values["a.w"]
    assert "a.w" not in values
    assert values.get("a.w") is None
    assert list(values) == ["a.W", "a.b"]


def test_guard_is_asked_before_every_reading(values):
    def refuse():
        raise RuntimeError("no")

    guarded = values.guarded(refuse)
    for reading in (lambda: guarded["a.W"], lambda: guarded.flat, guarded.arrays):
        with pytest.raises(RuntimeError):
            reading()
    assert len(guarded) == 2


def test_blocks_start_at_cache_lines():
    for size in (0, 1, 63, 64, 1000):
        block = aligned_bytes(size)
        assert block.size >= size
        assert block.ctypes.data % 64 == 0
        assert not block.any()


def test_arena_grows_and_stays_aligned():
    arena = Arena()
    arena.grow(100)
    assert arena.address % 64 == 0
    arena.grow(5 * HUGE_PAGE + 1)
    assert arena.address % HUGE_PAGE == 0
    whole = (c_uint8 * arena.size).from_address(arena.address)
    whole[0] = whole[arena.size - 1] = 1


def test_arena_that_does_not_fit():
    arena = Arena()
    with pytest.raises(MemoryError, match="bytes of scratch memory"):
        arena.grow(1 << 62)
    assert arena.size == 0

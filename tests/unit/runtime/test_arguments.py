"""Positional, named, tuple and dict arguments, and the samples they must agree on."""

import numpy as np
import pytest

from netc.compiler.program import PortSpec
from netc.runtime.arguments import Signature
from netc.runtime.errors import DataError


@pytest.fixture
def signature():
    class Two:
        precision = "f32"
        inputs = (PortSpec("left", (2,)), PortSpec("right", (3,)))
        targets = (PortSpec("t", ()),)

    return Signature(Two())


A, B, T = np.zeros((4, 2)), np.ones((4, 3)), np.arange(4.0)


@pytest.mark.parametrize(
    ("positional", "named"),
    [
        ((A, B, T), {}),
        ((A,), {"t": T, "right": B}),
        ((), {"t": T, "right": B, "left": A}),
        (((A, B, T),), {}),
        (({"left": A, "right": B, "t": T},), {}),
        (({"left": A, "right": B},), {"t": T}),
        (((A, B),), {"t": T}),
    ],
)
def test_ways_to_say_the_same(signature, positional, named):
    batch = signature.bind(signature.names, signature.names, positional, named)
    assert batch.samples == 4
    assert {n: a.shape for n, a in batch.arrays.items()} == {
        "left": (4, 2),
        "right": (4, 3),
        "t": (4,),
    }


@pytest.mark.parametrize(
    ("positional", "named", "words"),
    [
        ((A, B), {}, ["missing `t`"]),
        ((), {}, ["`left`, `right`, `t`"]),
        ((A, B, T, T), {}, ["3 arrays", "found 4"]),
        ((A, B, T), {"t": T}, ["twice"]),
        (({"left": A},), {"left": A}, ["twice"]),
        ((A, B), {"tt": T}, ["no `tt`", "did you mean `t`"]),
        ((A, B[:3], T), {}, ["`right` has 3 samples", "`left` has 4"]),
        ((A, B, T[:1]), {}, ["`t` has 1 sample,"]),
    ],
)
def test_refusals(signature, positional, named, words):
    with pytest.raises(DataError) as caught:
        signature.bind(signature.names, signature.names, positional, named)
    assert all(w in str(caught.value) for w in words), str(caught.value)


def test_owned_copies_what_is_the_callers_memory(signature):
    left = np.zeros((4, 2), np.float32)
    batch = signature.bind(("left", "right"), ("left", "right"), (left, B), {})
    mine = batch.owned((left, B))
    left += 1
    assert not mine.arrays["left"].any()
    assert mine.arrays["right"] is batch.arrays["right"]

"""The interpreter of kernels refuses what native code would do silently."""

from __future__ import annotations

import numpy as np
import pytest

from netc.compiler.ir.op import Environment
from netc.compiler.loops.interpret import AccessError, run_kernel
from netc.compiler.loops.loops import Affine, Carry, Compute, Count, For, Kernel, Load, Store, var


def run(*body, size=8, batch=5, scratch=()):
    memory = np.arange(size, dtype=np.float64)
    kernel = Kernel(body, 1, scratch)
    run_kernel(kernel, [memory], Environment({}, batch), lanes=4, precision="f64")
    return memory


@pytest.mark.parametrize("index", [-1, 5, 8])
def test_a_vector_beyond_the_buffer(index):
    with pytest.raises(AccessError):
        run(Load("a", 0, Affine(index), wide=True))


def test_a_vector_that_just_fits():
    found = run(Load("a", 0, Affine(4), wide=True), Store(0, Affine(0), "a", wide=True))
    assert found.tolist() == [4, 5, 6, 7, 4, 5, 6, 7]


def test_memory_that_was_never_written_is_not_a_number():
    found = run(
        Load("a", -1, Affine(3), wide=False), Store(0, Affine(0), "a", wide=False), scratch=(4,)
    )
    assert np.isnan(found[0])


@pytest.mark.parametrize(("batch", "rounds"), [(4, 1), (5, 2), (17, 5)])
def test_carried_values_and_run_time_counts(batch, rounds):
    loop = For("b", Count("blocks"), (Compute("n", "add", ("c", 1.0)),),
               (Carry("c", 0.0, "n", "r", wide=False),))  # fmt: skip
    assert run(loop, Store(0, Affine(0), "r", wide=False), batch=batch)[0] == rounds


def test_a_loop_of_no_rounds_gives_its_initial_values():
    loop = For("b", Count("B", 8), (Store(0, var("b"), 9.0, wide=False),),
               (Carry("c", 3.0, "c", "r", wide=False),))  # fmt: skip
    assert run(loop, Store(0, Affine(1), "r", wide=False)).tolist()[:2] == [0, 3]

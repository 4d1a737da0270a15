"""The generated code itself: vectors, registers, determinism, the caller's number mode."""

from __future__ import annotations

import re

import numpy as np
import pytest

from netc.compiler.backend import jit
from netc.compiler.backend.target import target
from netc.compiler.driver import compile_text
from netc.compiler.ir.graph import Graph, Output, make
from netc.compiler.ir.op import Environment
from netc.compiler.ops.contract import Contract
from netc.compiler.ops.reduce import BatchReduce
from netc.compiler.ops.source import source
from netc.grammar.source import Source
from tests.native import TARGETS, Native

MLP = """net Mlp {
  input x: [128]
  target t: [64]
  h = x |> dense(96, act=relu)
  output y = h |> dense(64)
  loss mean_squared_error(y, t)
}
train { optimizer = adam() }
"""
LABEL = re.compile(r"^\.L\w+:|^\w+:", re.MULTILINE)
JUMP = re.compile(r"\bj\w+\s+(\.L\w+)")


def inner_loops(assembly: str) -> list[str]:
    """The text of every loop without a loop inside: from a label to the jump back to it."""
    lines = assembly.splitlines()
    found = []
    start: dict[str, int] = {}
    for i, line in enumerate(lines):
        if (label := re.match(r"(\.L\w+):", line)) is not None:
            start[label[1]] = i
        jump = JUMP.search(line)
        if jump is not None and jump[1] in start:
            body = lines[start[jump[1]] + 1 : i + 1]
            if not any(re.match(r"\.L\w+:", inner) for inner in body):
                found.append("\n".join(body))
    return found


@pytest.mark.skipif("avx512" not in TARGETS, reason="this machine has no AVX-512")
@pytest.mark.parametrize("function", ["infer", "backward", "step"])
def test_product_tiles_stay_in_registers(function):
    """The loops that do the work multiply and add whole vectors and never touch the stack."""
    compiled = compile_text(Source("mlp.net", MLP), target="avx512")
    assembly = jit.assembly(compiled.stages(function).llvm, target("avx512"))
    tiles = [loop for loop in inner_loops(assembly) if loop.count("vfmadd") >= 12]
    assert len(tiles) >= {"infer": 2, "backward": 5, "step": 5}[function]
    for loop in tiles:
        fused = [line for line in loop.splitlines() if "vfmadd" in line]
        assert all("zmm" in line for line in fused)
        assert not spilled(loop), loop


def spilled(loop: str) -> list[str]:
    return [line for line in loop.splitlines() if "zmm" in line and "(%rsp" in line]


@pytest.mark.skipif("avx512" not in TARGETS, reason="this machine has no AVX-512")
@pytest.mark.parametrize(
    ("image", "options"),
    [
        ("1, 28, 28", "6, kernel=5, padding=2"),
        ("3, 32, 32", "32, kernel=3, padding=1"),
        ("64, 16, 16", "64, kernel=3, padding=1"),
        ("16, 10, 10", "20, kernel=3, padding=1, stride=2"),
        ("8, 16, 16", "8, kernel=2, stride=2"),
        ("3, 33, 33", "24, kernel=7, padding=3, stride=2"),
    ],
)
def test_tiles_of_convolutions_stay_in_registers(image, options):
    """Value, gradient of the input and of the weights: the hot loops never touch the stack."""
    text = f"""net T {{
      input x: [{image}]
      param scale: [{image}] = normal(0, 1)
      z = x * scale |> conv({options}, act=tanh)
      loss sum(z * z)
      output y = z
    }}"""
    compiled = compile_text(Source("conv.net", text), target="avx512")
    assembly = jit.assembly(compiled.stages("backward").llvm, target("avx512"))
    tiles = [loop for loop in inner_loops(assembly) if loop.count("vfmadd") >= 14]
    assert len(tiles) >= 3
    for loop in tiles:
        assert not spilled(loop), loop


@pytest.mark.skipif("avx512" not in TARGETS, reason="this machine has no AVX-512")
def test_the_largest_tile_has_24_accumulators():
    compiled = compile_text(Source("mlp.net", MLP), target="avx512")
    assembly = jit.assembly(compiled.stages("infer").llvm, target("avx512"))
    sums = [
        len({line.split(",")[-1].strip() for line in loop.splitlines() if "vfmadd" in line})
        for loop in inner_loops(assembly)
    ]
    assert 24 <= max(sums) <= 28


@pytest.mark.parametrize("name", TARGETS)
def test_kernels_call_nothing_outside(name):
    """Transcendental functions are our own: no call of a C library for numbers."""
    text = MLP.replace("relu", "tanh").replace("mean_squared_error(y, t)", "sum(exp(y) * log(t))")
    compiled = compile_text(Source("mlp.net", text), target=name)
    assembly = jit.assembly(compiled.stages("step").llvm, target(name))
    called = set(re.findall(r"^\s+callq?\s+([\w.]+)", assembly, re.MULTILINE))
    kernels = {*compiled.stages("step").kernels, "netc.call"}
    assert kernels <= called
    ours = {"netc.transpose", "netc.pack", "netc.barrier"}
    assert called - kernels <= {*ours, "sched_yield", "memset", "memcpy"}


def product() -> Graph:
    x = source("input", "x", (5,), True, "f64")
    w = source("parameter", "w", (5, 7), False, "f64")
    y = make(Contract("k,kn->n"), x, w)
    total = make(BatchReduce("sum"), y)
    return Graph("step", (Output("output", "y", y), Output("state", "s", total)))


def test_denormal_numbers_are_zero_inside_and_the_mode_is_restored_after():
    native = Native(product())
    tiny, half = np.array([2.0**-1022]), np.array([0.5])
    assert (tiny * half).view(np.int64)[0] == 1 << 51  # as bits: a comparison could flush as well
    small = {
        ("input", "x"): np.full((3, 5), 2.0**-600),
        ("parameter", "w"): np.full((5, 7), 2.0**-440),
    }
    found = native(Environment(small, 3))  # 5 · 2⁻¹⁰⁴⁰ is denormal
    assert np.all(found["output", "y"] == 0)
    assert (tiny * half).view(np.int64)[0] == 1 << 51  # as bits: a comparison could flush as well


@pytest.mark.parametrize("name", TARGETS)
def test_the_same_call_gives_the_same_bits(name):
    compiled = [compile_text(Source("mlp.net", MLP), target=name).stages("step").llvm for _ in "ab"]
    assert compiled[0] == compiled[1]
    native = Native(product(), name)
    rng = np.random.default_rng(0)
    values = {("input", "x"): rng.normal(size=(37, 5)), ("parameter", "w"): rng.normal(size=(5, 7))}
    env = Environment(values, 37, 1, 1)
    first, second = native(env), native(env)
    assert all(np.array_equal(first[k], second[k]) for k in first)

"""Runs a graph through plan, kernels and LLVM, for tests that compare with the interpreter."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from threading import Thread

import numpy as np

from netc.compiler.backend import jit
from netc.compiler.backend.emit_function import emit_module, layout
from netc.compiler.backend.errors import TargetError
from netc.compiler.backend.target import host_target, target
from netc.compiler.ir.graph import Graph, Space
from netc.compiler.ir.op import Array, Environment
from netc.compiler.ir.types import Precision
from netc.compiler.loops.interpret import run_kernel
from netc.compiler.loops.lower import distinct, lower
from netc.compiler.manifest import block
from netc.compiler.ops.source import Source
from netc.compiler.passes.expand import expand
from netc.compiler.passes.one_sample import of_one_sample
from netc.compiler.passes.several_samples import several_samples
from netc.compiler.plan.build import build_plan
from netc.compiler.plan.memory import place
from netc.compiler.program import (
    BARRIER_LINE,
    FunctionName,
    InferenceSpec,
    Manifest,
    PortSpec,
    Slot,
)

DTYPE = {"f32": np.float32, "f64": np.float64}
BLOCKS: tuple[tuple[Space, str, Slot], ...] = (
    ("parameter", "parameters", Slot.PARAMETERS),
    ("state", "states", Slot.STATES),
    ("optimizer", "optimizer", Slot.OPTIMIZER),
    ("gradient", "gradients", Slot.GRADIENTS),
)
ALONE = ("infer_one", "infer_group")
KNOWN = ("step", "epoch", "steps", "epochs", "batch_size")


def available(name: str) -> bool:
    try:
        target(name)
    except TargetError:
        return False
    return True


TARGETS = [name for name in ("avx512", "avx2", "portable") if available(name)]
"""What this machine can run."""


def manifest_of(graph: Graph, precision: Precision, lanes: int) -> Manifest:
    """A manifest with exactly what a graph reads and writes."""
    sources = [n for n in graph.nodes() if isinstance(n.op, Source)]

    def shapes(space: str) -> list[tuple[str, tuple[int, ...]]]:
        found = {n.op.name: n.type.shape for n in sources if n.op.space == space}
        found |= {o.name: o.node.type.shape for o in graph.outputs if o.space == space}
        return list(found.items())

    ports = [PortSpec(n, s) for n, s in shapes("input")]
    outputs = [PortSpec(n, s) for n, s in shapes("output")]
    scalars = [(n, 0.0) for n, _ in shapes("scalar") if n not in KNOWN]
    results = tuple(o.name for o in graph.outputs if o.space == "result")
    blocks = {name: block(shapes(space), lanes, precision) for space, name, _ in BLOCKS}
    return Manifest(
        "test", precision, lanes, tuple(ports), (), tuple(outputs), results, tuple(scalars),
        **blocks, functions=("step",),
    )  # fmt: skip


def aligned(size: int) -> tuple[np.ndarray, int]:
    """Memory filled with NaN bytes, and the address of its first cache line."""
    memory = np.full(size + 64, 0xFF, np.uint8)
    address = memory.ctypes.data
    return memory, address + -address % 64


class Native:
    """A graph compiled for a target; call it with environments of any batch size.

    A graph of one sample is called for each sample in turn, or in groups of so many `together`.
    """

    def __init__(self, graph: Graph, target_name: str | None = None, together: int = 0) -> None:
        precision = graph.roots[0].type.precision
        chosen = target(target_name) if target_name else host_target()
        self.manifest = manifest_of(graph, precision, chosen.lanes(precision))
        self.together = together or 1
        if together:
            spec = InferenceSpec(group=together, several=together)
            self.manifest = replace(self.manifest, inference=spec)
            graph = several_samples(graph, together)
        self.plan = build_plan(expand(graph), self.manifest.lanes)
        self.memory = place(self.plan, np.dtype(DTYPE[precision]).itemsize)
        self.launches = lower(self.plan, chosen.registers, self.manifest.results)
        where = layout(self.memory, self.manifest)
        kernels = distinct(self.launches)
        self.name: FunctionName = "infer_one" if of_one_sample(graph) else "step"
        if together:
            self.name = "infer_group"
        self.llvm = emit_module(
            self.name, self.launches, self.plan.phases, kernels, where, self.manifest, chosen
        )
        self.library = jit.load(jit.compile_object(self.llvm, chosen))

    def __call__(self, env: Environment, threads: int = 1) -> dict[tuple[Space, str], Array]:
        """What `interpret(graph, env)` returns, computed by native code, by so many threads."""
        address = self.library.address(f"netc_{self.name}")
        return _call(address, self.manifest, self.memory, env, threads)

    def interpreted(self, env: Environment, parts: int = 1) -> dict[tuple[Space, str], Array]:
        """The same by the interpreter of kernels, in an arena with the plan's offsets.

        Each kernel is called in so many parts, the last one first.
        """
        return _interpreted(self, env, parts)


def _call(address, manifest, memory, env, threads):
    dtype = DTYPE[manifest.precision]
    call = np.zeros(Slot.DATA + 64, np.int64)
    keep = []
    blocks = -(-env.batch // manifest.lanes)
    arena, call[Slot.ARENA] = aligned(memory.fixed + memory.per_block * blocks)
    call[Slot.BATCH], call[Slot.SEED], call[Slot.STEP] = env.batch, env.seed, env.step
    call[Slot.THREADS] = 1
    views: dict[tuple[Space, str], Array] = {}
    for space, name, slot in BLOCKS:
        spec = getattr(manifest, name)
        raw, call[slot] = aligned(spec.size)
        base = call[slot] - raw.ctypes.data
        for value in spec.values:
            start = int(base + value.offset)
            view = np.ndarray(value.shape, dtype, raw, start, value.strides)
            given = env.values.get((space, value.name))
            view[...] = np.nan if given is None else given
            views[space, value.name] = view
        keep.append(raw)
    scalars = np.array([env.values["scalar", n] for n, _ in manifest.scalars], np.float64)
    results = np.full(len(manifest.results) + 1, np.nan)
    call[Slot.SCALARS], call[Slot.RESULTS] = scalars.ctypes.data, results.ctypes.data
    for slot, known in ((Slot.EPOCH, "epoch"), (Slot.STEPS, "steps"), (Slot.EPOCHS, "epochs")):
        call[slot] = int(env.values.get(("scalar", known), 0))
    data = [np.ascontiguousarray(env.values["input", p.name], dtype) for p in manifest.inputs]
    outputs = [np.full((env.batch, *p.shape), np.nan, dtype) for p in manifest.outputs]
    for i, array in enumerate((*data, *outputs)):
        call[Slot.DATA + i] = array.ctypes.data
    _run(ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address), call, threads)
    found = {("output", p.name): a for p, a in zip(manifest.outputs, outputs, strict=True)}
    found |= {("result", n): results[i] for i, n in enumerate(manifest.results)}
    del arena
    return found | {k: v.copy() for k, v in views.items()}


def _run(function, call, threads):
    """One call, or one on each of several threads that share a barrier."""
    words = np.zeros(BARRIER_LINE * (threads + 1), np.uint8)
    call[Slot.BARRIER] = words.ctypes.data + -words.ctypes.data % BARRIER_LINE
    call[Slot.THREADS] = threads
    calls = [call.copy() for _ in range(threads)]
    for number, own in enumerate(calls):
        own[Slot.THREAD] = number
    workers = [Thread(target=function, args=(own.ctypes.data,)) for own in calls[1:]]
    for worker in workers:
        worker.start()
    function(calls[0].ctypes.data)
    for worker in workers:
        worker.join()


def _interpreted(native, env, parts):
    manifest, memory, lanes = native.manifest, native.memory, native.manifest.lanes
    dtype = np.dtype(DTYPE[manifest.precision])
    width, blocks = dtype.itemsize, -(-env.batch // lanes)
    arena = np.full((memory.fixed + memory.per_block * blocks) // width, np.nan, dtype)
    arrays = _flat_arrays(manifest, env, dtype)

    def array(buffer, sample):
        if buffer not in memory.offsets:
            found = arrays[buffer.region, buffer.name]
            if native.name in ALONE and buffer.region in ("input", "output"):
                rows = found.reshape(env.batch, -1)[sample : sample + native.together]
                found = rows.reshape(-1)
            return found
        start, size = memory.offsets[buffer] // width, buffer.elements
        if buffer.region == "batch":
            start, size = memory.fixed // width + start * blocks, size * blocks
        return arena[start : start + size]

    for sample in range(0, env.batch if native.name in ALONE else 1, native.together):
        for launch in native.launches:
            buffers = [array(b, sample) for b in launch.buffers]
            for share in _shares(launch, blocks, parts):
                precision = manifest.precision
                run_kernel(launch.kernel, buffers, env, lanes=lanes, precision=precision, **share)
    found = {("result", n): arrays["result", "results"][i] for i, n in enumerate(manifest.results)}
    for port in manifest.outputs:
        found["output", port.name] = arrays["output", port.name].reshape(env.batch, *port.shape)
    for space, value in _stored(manifest):
        found[space, value.name] = _view(arrays[space, value.name], value).copy()
    return found


def _shares(launch, blocks, parts):
    """What the calls of a kernel do, the last one first."""
    if parts == 1 or not (launch.unit.per_block or launch.kernel.split):
        return [{}]
    if launch.unit.per_block:
        bounds = [(blocks * n // parts, blocks * (n + 1) // parts) for n in range(parts)]
        return [{"blocks": range(*some)} for some in reversed(bounds)]
    return [{"part": (n, parts)} for n in reversed(range(parts))]


def _flat_arrays(manifest, env, dtype):
    """Everything outside the arena as flat arrays, NaN where nothing is given."""
    arrays: dict[tuple[str, str], Array] = {}
    for space, value in _stored(manifest):
        elements = stored_elements(value, dtype.itemsize)
        size = -(-elements // manifest.lanes) * manifest.lanes
        arrays[space, value.name] = np.full(size, np.nan, dtype)
        if (space, value.name) in env.values:
            _view(arrays[space, value.name], value)[...] = env.values[space, value.name]
    for port in manifest.inputs:
        arrays["input", port.name] = env.values["input", port.name].astype(dtype).ravel()
    for port in manifest.outputs:
        arrays["output", port.name] = np.full(env.batch * math.prod(port.shape), np.nan, dtype)
    arrays["result", "results"] = np.full(len(manifest.results), np.nan)
    return arrays


def _stored(manifest):
    return [(space, value) for space, name, _ in BLOCKS for value in getattr(manifest, name).values]


def stored_elements(value, width):
    """Elements from the first to the last of a value in a persistent block."""
    last = sum((n - 1) * s for n, s in zip(value.shape, value.strides, strict=True))
    return last // width + 1


def _view(buffer, value):
    return np.ndarray(value.shape, buffer.dtype, buffer, 0, value.strides)


def same_outputs(graph: Graph) -> Sequence[tuple[Space, str]]:
    """The keys that a graph writes."""
    return [(o.space, o.name) for o in graph.outputs]


def assert_native_equals(
    expected: Mapping[tuple[Space, str], Array],
    found: Mapping[tuple[Space, str], Array],
    rtol: float,
) -> None:
    """Every value equal within `rtol` of the largest element."""
    for key, given in expected.items():
        value = np.asarray(given, np.float64)
        if key[0] == "output":
            value = np.broadcast_to(value, found[key].shape)
        scale = np.max(np.abs(value[np.isfinite(value)]), initial=1e-30)
        np.testing.assert_allclose(
            np.asarray(found[key], np.float64),
            value,
            rtol=rtol,
            atol=rtol * scale,
            err_msg=str(key),
        )

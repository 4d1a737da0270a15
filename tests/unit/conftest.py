"""A small program whose native functions are Python callbacks, to test the runtime by itself.

The net: y = x W + b + s with one state s that training forwards
move through 0, 1/64, … 7/64, loss the sum of
squared errors, metric `error` the mean absolute error, plain gradient descent with a step-counting
optimizer state for each parameter. Numbers: lr, and `pause` (seconds for each step of `train`).
"""

from __future__ import annotations

import time
from ctypes import CFUNCTYPE, POINTER, c_double, c_float, c_int64, c_void_p, cast
from types import SimpleNamespace

import numpy as np
import pytest

from netc.compiler.program import (
    Block,
    FunctionSpec,
    InferenceSpec,
    Manifest,
    PortSpec,
    Slot,
    StoredSpec,
)

N, K = 4, 2
INFERENCE = ("infer", "infer_one", "infer_group")
ALL = (*INFERENCE, "evaluate", "forward", "backward", "update", "step", "train")


def view(address, shape, dtype):
    kind = {"f32": c_float, "f64": c_double, "i64": c_int64}[dtype]
    count = int(np.prod(shape, dtype=int))
    return np.ctypeslib.as_array((kind * count).from_address(address)).reshape(shape)


class FakeProgram:
    """Stands for `compiler.driver.Program`."""

    def __init__(self, precision="f32", functions=ALL, settings=None, target=None):
        width = 4 if precision == "f32" else 8
        # W with padded rows, b at an offset: views must follow strides
        stored = lambda suffix: Block(  # noqa: E731
            512,
            (
                StoredSpec(f"h.W{suffix}", (N, K), 0, (16 * width // 2, width)),
                StoredSpec(f"h.b{suffix}", (K,), 384, (width,)),
            ),
        )
        self.precision = precision
        self.calls = []
        self.steps_seen = []
        self.manifest = Manifest(
            name="Affine",
            precision=precision,
            lanes=8,
            inputs=(PortSpec("x", (N,)),),
            targets=(target or PortSpec("t", (K,)),),
            outputs=(PortSpec("y", (K,)), PortSpec("gap", (K,))),
            results=("objective", "loss", "error"),
            scalars=(("lr", 0.05), ("pause", 0.0), ("group.lr", float("nan"))),
            parameters=stored(""),
            states=Block(64, (StoredSpec("s", (), 0, ()),)),
            optimizer=stored(".v"),
            gradients=stored(""),
            functions=functions,
            inference=InferenceSpec(("x",), ("y",), few=3),
        )
        self.settings = settings or default_settings()
        self.source = SimpleNamespace(name="affine.net", text="net Affine { }\n")
        self.imports = ()
        self.place = "affine.net"
        self.nanoseconds = 0  # of a call, as the compiler would estimate it
        self._alive = []

    def team(self):
        raise NotImplementedError("one thread is enough for these nets")

    def initial(self, seed):
        draws = np.random.default_rng(seed)
        values = {
            ("parameter", "h.W"): draws.normal(size=(N, K)),
            ("parameter", "h.b"): np.zeros(K),
        }
        values["state", "s"] = np.zeros(())
        values["optimizer", "h.W.v"] = np.zeros((N, K))
        values["optimizer", "h.b.v"] = np.zeros(K)
        return values

    def over_data(self, data, samples):
        return {}

    def native(self, name):
        inputs = ("x",) if name in (*INFERENCE, "forward", "update") else ("x", "t")
        outputs = {
            "infer": ("y",),
            "infer_one": ("y",),
            "infer_group": ("y",),
            "forward": ("y",),
            "evaluate": ("gap",),
        }.get(name, ())
        spec = FunctionSpec(name, f"f_{name}", inputs, outputs, 128, 64, self.nanoseconds)

        def run(address):
            self.calls.append(name)
            getattr(self, f"_{name}")(Call(self, address))

        callback = CFUNCTYPE(None, c_void_p)(run)
        self._alive.append(callback)
        return cast(callback, c_void_p).value, spec

    # -- the functions, in NumPy ---------------------------------------------------------------

    def _infer(self, c):
        c.output(0)[...] = c.y(training=False)

    def _infer_one(self, c):
        self._infer(c)

    def _infer_group(self, c):
        assert c.slot(Slot.BATCH) >= self.manifest.inference.group
        self._infer(c)

    def _evaluate(self, c):
        c.report(c.results, training=False)
        if c.slot(Slot.DATA + 3):
            c.output(1)[...] = c.t - c.y(training=False)

    def _forward(self, c):
        c.output(0)[...] = c.y(training=True)
        c.next_state()

    def _backward(self, c):
        gradient = c.gradient()
        c.block("GRADIENTS", "h.W")[...] = gradient[0]
        c.block("GRADIENTS", "h.b")[...] = gradient[1]
        c.report(c.results, training=True)

    def _update(self, c):
        c.apply((c.block("GRADIENTS", "h.W"), c.block("GRADIENTS", "h.b")))

    def _step(self, c):
        c.report(c.results, training=True)
        gradient = c.gradient()
        c.next_state()
        c.apply(gradient)

    def _train(self, c):
        samples, batch = c.slot(Slot.SAMPLES), c.slot(Slot.BATCH)
        progress = view(c.slot(Slot.PROGRESS), (3,), "i64")
        epochs, limit = c.slot(Slot.RUN_EPOCHS), c.slot(Slot.MAX_STEPS)
        history = view(c.slot(Slot.HISTORY), (epochs, 3), "f64")
        x, t = c.array(0, (samples, N)), c.targets(samples)
        for epoch in range(epochs):
            total, seen = np.zeros(3), 0
            first = c.slot(Slot.FIRST) if epoch == 0 else 0
            for start in range(first, samples, batch):
                if progress[1] or (limit and progress[0] >= limit):
                    break
                c.x, c.t = x[start : start + batch], t[start : start + batch]
                results = np.zeros(3)
                c.report(results, training=True)
                gradient = c.gradient()
                c.next_state()
                c.apply(gradient)
                self.steps_seen.append(
                    (c.slot(Slot.STEP) + int(progress[0]), c.slot(Slot.EPOCH) + epoch)
                )
                total += results * len(c.x)
                seen += len(c.x)
                history[epoch] = total / seen
                progress[0] += 1
                time.sleep(c.scalars[1])
            if first + seen < samples:
                return
            progress[2] += 1


class Call:
    """Reads a call block."""

    def __init__(self, program, address):
        self.program = program
        self.slots = cast(address, POINTER(c_int64))
        self.results = view(self.slot(Slot.RESULTS), (3,), "f64")
        self.scalars = view(self.slot(Slot.SCALARS), (3,), "f64")
        assert self.slot(Slot.ARENA) % 64 == 0
        rows = self.slot(Slot.BATCH)
        view(self.slot(Slot.ARENA), ((128 + 64 * -(-rows // 8)) // 4,), "f32")[...] = np.nan
        self.s = self.block("STATES", "s")
        data = [self.slot(Slot.DATA + i) for i in range(2)]
        self.x = self.array(0, (rows, N)) if data[0] else None
        self.t = self.targets(rows) if data[1] else None

    def slot(self, index):
        return int(self.slots[int(index)])

    def array(self, index, shape):
        return view(self.slot(Slot.DATA + index), shape, self.program.precision)

    def targets(self, rows):
        t = self.array(1, (rows, *self.program.manifest.targets[0].shape))
        return t if t.ndim == 2 else t[:, None]

    def next_state(self):
        self.s[...] = (self.s + 1 / 64) % (1 / 8)

    def output(self, index):
        return self.array(2 + index, (self.slot(Slot.BATCH), K))

    def block(self, slot, name):
        start = self.slot(Slot[slot])
        assert start % 64 == 0
        known = {"STATES": "states", "OPTIMIZER": "optimizer", "GRADIENTS": "gradients"}
        block = getattr(self.program.manifest, known.get(slot, "parameters"))
        (spec,) = (v for v in block.values if v.name == name)
        raw = view(start, (block.size // 4,), "f32").data.cast("B")
        dtype = np.float32 if self.program.precision == "f32" else np.float64
        return np.ndarray(spec.shape, dtype, raw, spec.offset, spec.strides)

    def y(self, training):
        w, b = self.block("PARAMETERS", "h.W"), self.block("PARAMETERS", "h.b")
        return self.x @ w + b + (self.s if training else 0)

    def report(self, results, training):
        gap = self.y(training) - self.t
        loss = (gap**2).sum(1).mean()
        results[:] = (loss + 1, loss, np.abs(gap).mean())

    def gradient(self):
        gap = 2 * (self.y(True) - self.t) / len(self.x)
        return self.x.T @ gap, gap.sum(0)

    def apply(self, gradient):
        for name, g in zip(("h.W", "h.b"), gradient, strict=True):
            self.block("PARAMETERS", name)[...] -= self.scalars[0] * g
            self.block("OPTIMIZER", f"{name}.v")[...] += 1


def default_settings(**changes):
    values = {
        "batch": 8,
        "epochs": 1,
        "max_steps": None,
        "shuffle": "false",
        "seed": 0,
        "validation": 0.0,
        "monitor": None,
        "patience": None,
        "min_delta": 0.0,
        "restore_best": False,
        "stop_change": None,
    }
    return SimpleNamespace(**{**values, **changes})


@pytest.fixture
def fake_program():
    """The class, to make programs of one's own."""
    return FakeProgram


@pytest.fixture
def settings_of():
    return default_settings


@pytest.fixture
def program():
    return FakeProgram()


@pytest.fixture
def samples():
    draws = np.random.default_rng(1)
    x = draws.normal(size=(20, N)).astype(np.float32)
    w = draws.normal(size=(N, K))
    return x, (x @ w).astype(np.float32)

"""The prelude through the public compiled path, in f64 and f32, against the same references."""

from __future__ import annotations

import re

import numpy as np
import pytest

import netc
from tests.prelude.references.activations import ACTIVATIONS, EXTREMES
from tests.prelude.references.losses import LOSSES, LossCase
from tests.prelude.references.optimizers import OPTIMIZERS, trajectory
from tests.prelude.references.penalties import PENALTIES
from tests.prelude.test_optimizers import START, slopes

Precision = str
CLOSE = {"f64": {"rtol": 1e-12, "atol": 1e-14}, "f32": {"rtol": 2e-5, "atol": 2e-6}}
PRECISIONS = sorted(CLOSE)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_activations(precision: Precision) -> None:
    cases = [case for several in ACTIVATIONS.values() for case in several]
    lines = "".join(f"  output y{i} = {case.call}\n" for i, case in enumerate(cases))
    model = netc.compile(source=f"net T {{\n  input z: [5]\n{lines}}}", precision=precision)
    z = np.random.default_rng(1).normal(0, 2, (37, 5)).astype(np.float32).astype(np.float64)
    found = model.forward(z)
    for i, case in enumerate(cases):
        expected = case.value(z)
        np.testing.assert_allclose(found[f"y{i}"], expected, **CLOSE[precision], err_msg=case.call)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_activations_far_out(precision: Precision) -> None:
    """Values and slopes; a slope is the gradient by a parameter that is added to z."""
    names = sorted(EXTREMES)
    params = "".join(f"  param {name}: [3] = 0\n" for name in names)
    total = " + ".join(f"sum({name}(z + {name}))" for name in names)
    outputs = "".join(f"  output y_{name} = {name}(z)\n" for name in names)
    text = f"net T {{\n  input z: [3]\n{params}{outputs}  loss {total}\n}}"
    model = netc.compile(source=text, precision=precision)
    z = np.array([[-1e4, 0, 1e4]])
    found = model.forward(z, training=True)
    model.backward()
    for name in names:
        values, steep = EXTREMES[name]
        np.testing.assert_allclose(found[f"y_{name}"][0], values, **CLOSE[precision], err_msg=name)
        np.testing.assert_allclose(model.grads[name], steep, **CLOSE[precision], err_msg=name)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_losses(precision: Precision) -> None:
    cases = [case for several in LOSSES.values() for case in several]
    ports, losses, values = "", "", {}
    for i, case in enumerate(cases):
        call, p, t = case.at(4)
        ports += f"  input p{i}: {p}\n  input t{i}: {t}\n"
        losses += f"  output l{i} = {renamed(call, i)}\n"
        values |= dict(zip((f"p{i}", f"t{i}"), case.draws(4, 6), strict=True))
    model = netc.compile(source=f"net T {{\n{ports}{losses}}}", precision=precision)
    found = model.forward(**values)
    for i, case in enumerate(cases):
        expected = reference(case, precision)
        np.testing.assert_allclose(found[f"l{i}"], expected, **CLOSE[precision], err_msg=case.call)


def renamed(call: str, i: int) -> str:
    """The call with its p and t numbered."""
    return re.sub(r"\b([pt])\b(?!\d)", rf"\g<1>{i}", call)


def reference(case: LossCase, precision: Precision) -> np.ndarray:
    p, t = case.draws(4, 6)
    if precision == "f32":
        p, t = (a.astype(np.float32).astype(np.float64) for a in (p, t))
    return case.value(p, t)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_penalties(precision: Precision) -> None:
    cases = [case for several in PENALTIES.values() for case in several]
    w = np.random.default_rng(2).normal(0, 0.5, 6)
    for call, value in cases:
        text = f"net T {{ input x: [1]; param w: [2, 3] = 0; loss x[0]; penalty {call} }}"
        model = netc.compile(source=text, precision=precision)
        model.params["w"][...] = w.reshape(2, 3)
        model.forward(np.zeros((1, 1)), training=True)
        found = model.backward()
        assert found == pytest.approx(value(w), rel=CLOSE[precision]["rtol"]), call


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_ten_steps(name: str) -> None:
    """The gradient of `w * x` for one sample is x, so any gradients can be fed."""
    text = f"""
    net T {{ input x: [7]; param w: [7] = 0; loss sum(w * x) }}
    train {{ optimizer = {name}() }}
    """
    model = netc.compile(source=text, precision="f64")
    model.params["w"][...] = START
    for g, expected in zip(slopes(), trajectory(name, START, slopes()), strict=True):
        model.step(g[None])
        np.testing.assert_allclose(model.params["w"], expected, rtol=1e-11, atol=1e-14)

"""Nets with a NumPy computation of their own: values and gradients by the public API.

Invariant: a reference uses NumPy only, and its gradient is that of finite differences in f64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

import netc

Array = np.ndarray
Arrays = dict[str, Array]
Reference = Callable[..., dict[str, Array | float]]

BATCHES = (1, 2, 15, 16, 17, 33)
SHIFT = 1e-5
ELEMENTS = 60  # of all parameters, as many are moved one by one


@dataclass(frozen=True)
class Case:
    """`reference(parameters, **arrays)` gives `loss` (one for each sample), `penalty`, and by name
    the outputs and metrics; `data(random, samples)` the arrays."""

    name: str
    text: str
    data: Callable[[np.random.Generator, int], Arrays]
    reference: Reference
    batches: tuple[int, ...] = (1, 17)
    defines: Mapping[str, int | float | bool | str] = field(default_factory=dict)
    differentiable: bool = True


def compiled(case: Case) -> netc.Model:
    text = case.text if "net " in case.text else f"net Case {{\n{case.text}\n}}"
    model = netc.compile(source=text, precision="f64", defines=dict(case.defines))
    random = np.random.default_rng(3)
    for value in model.params.values():
        value += random.normal(0, 0.1, value.shape)
    return model


def check(case: Case) -> None:
    """Everything that the functions of a compiled net must agree on with its reference."""
    model = compiled(case)
    inputs = [port.name for port in model.manifest.inputs]
    targets = [port.name for port in model.manifest.targets]
    for samples in case.batches:
        data = case.data(np.random.default_rng(samples), samples)
        known = {k: np.array(v) for k, v in model.params.items()}
        expected = case.reference(known, **data)
        _check_inference(model, {k: data[k] for k in inputs}, data, expected)
        if "loss" in expected or "penalty" in expected:
            _check_training(model, case, data, inputs, targets)


def _check_inference(
    model: netc.Model, inputs: Arrays, data: Arrays, expected: Mapping[str, Array | float]
) -> None:
    found: dict[str, Array] = {}
    if model.output_names:
        outputs = model.forward(**inputs)
        found |= outputs if isinstance(outputs, dict) else {model.output_names[0]: outputs}
    scores = model.evaluate(**data)
    found |= {k: v for k, v in scores.items() if isinstance(v, np.ndarray)}
    for name, value in expected.items():
        if name in found:
            np.testing.assert_allclose(found[name], value, rtol=1e-11, atol=1e-12, err_msg=name)
        elif name != "penalty":
            np.testing.assert_allclose(
                scores[name], np.mean(value), rtol=1e-11, atol=1e-12, err_msg=name
            )
    assert {*found, *scores} == {k for k in expected if k != "penalty"} | (
        {"loss"} if "penalty" in expected else set()
    )


def objective(case: Case, parameters: Arrays, data: Arrays) -> float:
    values = case.reference(parameters, **data)
    return float(np.mean(values.get("loss", 0.0)) + values.get("penalty", 0.0))


def _check_training(
    model: netc.Model, case: Case, data: Arrays, inputs: list[str], targets: list[str]
) -> None:
    model.forward(**{k: data[k] for k in inputs}, training=True)
    found = model.backward(**{k: data[k] for k in targets})
    parameters = {k: np.array(v) for k, v in model.params.items()}
    np.testing.assert_allclose(found, objective(case, parameters, data), rtol=1e-11, atol=1e-12)
    if not case.differentiable:
        return
    random = np.random.default_rng(7)
    places = [(k, i) for k, v in parameters.items() for i in np.ndindex(v.shape)]
    if len(places) > ELEMENTS:
        places = [places[i] for i in random.choice(len(places), ELEMENTS, replace=False)]
    for name, index in places:
        start = parameters[name][index]
        ends = []
        for shift in (SHIFT, -SHIFT):
            parameters[name][index] = start + shift
            ends.append(objective(case, parameters, data))
        parameters[name][index] = start
        slope = (ends[0] - ends[1]) / (2 * SHIFT)
        np.testing.assert_allclose(
            model.grads[name][index], slope, rtol=2e-6, atol=2e-8, err_msg=f"{name}{index}"
        )


# -- the mathematics that references share ---------------------------------------------------------


def sigmoid(z: Array) -> Array:
    return np.exp(-np.logaddexp(0, -z))


def logsumexp(z: Array, axis: int = -1, keepdims: bool = False) -> Array:
    top = np.max(z, axis=axis, keepdims=True)
    found = top + np.log(np.sum(np.exp(z - top), axis=axis, keepdims=True))
    return found if keepdims else np.squeeze(found, axis)


def softmax(z: Array) -> Array:
    return np.exp(z - logsumexp(z, keepdims=True))


def cross_entropy(z: Array, label: Array) -> Array:
    """Of one vector of logits for each sample."""
    return logsumexp(z) - np.take_along_axis(z, label[:, None].astype(int), 1)[:, 0]


def total(x: Array) -> Array:
    """The sum over all elements of a sample."""
    return np.asarray(x).reshape(len(x), -1).sum(1)

"""Recurrent layers against PyTorch in f64: values of all steps, and gradients.

PyTorch is no dependency of the project; without it these tests are skipped.
"""

from __future__ import annotations

import numpy as np
import pytest

import netc

torch = pytest.importorskip("torch", reason="PyTorch is not installed: no oracle to compare with")

STEPS, FEATURES, UNITS, SAMPLES = 6, 5, 4, 19

TEXT = """
net N {{
  input x: [{steps}, {features}]
  input w: [{steps}, {units}]
  h = x |> {layer}({units}, all=true)
  last = x |> {layer}({units})
  output h
  output last
  loss sum(w * h)
  penalty 0 * batch_sum(sum(last))
}}
"""

PEERS = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}


def peer_of(layer: str, params: dict[str, np.ndarray]) -> torch.nn.Module:
    """PyTorch's layer with the same weights; its second vector of biases is that of `d` alone."""
    peer = PEERS[layer](FEATURES, UNITS, batch_first=True, dtype=torch.float64)
    second = np.zeros_like(params["b"])
    if "d" in params:
        second[2 * UNITS :] = params["d"]
    values = {"weight_ih_l0": params["W"].T, "weight_hh_l0": params["U"].T}
    values |= {"bias_ih_l0": params["b"], "bias_hh_l0": second}
    with torch.no_grad():
        for name, value in values.items():
            getattr(peer, name).copy_(torch.from_numpy(value.copy()))
    return peer


@pytest.mark.parametrize("layer", PEERS)
def test_values_and_gradients_are_those_of_torch(layer: str) -> None:
    random = np.random.default_rng(0)
    text = TEXT.format(steps=STEPS, features=FEATURES, units=UNITS, layer=layer)
    model = netc.compile(source=text, precision="f64")
    params = {n.rpartition(".")[2]: v for n, v in model.params.items() if n.startswith("h.")}
    for name, value in params.items():
        value[...] = random.normal(0, 0.7, value.shape)
        model.params[f"last.{layer}.{name}"] = value
    x = random.normal(size=(SAMPLES, STEPS, FEATURES))
    w = random.normal(size=(SAMPLES, STEPS, UNITS))
    found = model.forward(x, w, training=True)
    model.backward()
    peer = peer_of(layer, params)
    expected, _ = peer(torch.from_numpy(x))
    np.testing.assert_allclose(found["h"], expected.detach().numpy(), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(found["last"], found["h"][:, -1], rtol=1e-14)
    (expected * torch.from_numpy(w)).sum(dim=(1, 2)).mean().backward()
    slopes = {
        "W": peer.weight_ih_l0.grad.T,
        "U": peer.weight_hh_l0.grad.T,
        "b": peer.bias_ih_l0.grad,
        "d": peer.bias_hh_l0.grad[-UNITS:],
    }
    for name in params:
        np.testing.assert_allclose(
            model.grads[f"h.{layer}.{name}"], slopes[name].numpy(), rtol=1e-11, atol=1e-13
        )

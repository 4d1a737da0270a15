"""Networks on a graph: a unit sees its neighbours only, by a mask on the weights."""

from __future__ import annotations

import numpy as np

from tests.catalogue.experiment import experiment
from tests.catalogue.feedforward import listings
from tests.catalogue.feedforward.networks import LEAST_SQUARES, redraw
from tests.catalogue.tools import compiled, objective_differences

KIND = ("tanh", "tanh", LEAST_SQUARES)
MU, RHO = 0.1, 0.02
FIRST = [[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1], [1, 0, 0, 0], [0, 0, 1, 0]]
SECOND = [[1, 0, 1], [0, 1, 0], [1, 1, 0], [0, 0, 1]]
GRAPH = """
const first = FIRST
const second = SECOND
const rho = 0.02

## z(j) = sum over the neighbours i of j of w_ij y(i), less theta(j).
layer neighbours(y: [n], edges: [n, m]) {
  param W: [n, m] = normal(0, 1)
  param theta: [m] = normal(0, 1)
  return y @ (edges * W) - theta
}

net Graph {
  input h: [5]
  target gamma: [3]
  layer one = neighbours(first)
  layer two = neighbours(second)
  output z_2 = one(h)
  output gamma_hat = z_2 |> tanh |> two |> tanh
  loss squared_error(gamma_hat, gamma)
  penalty rho * (l2(first * one.neighbours.W) + l2(second * two.neighbours.W))
}
train { optimizer = sgd(lr = 0.1) }
"""
NAMES = ("one.neighbours", "two.neighbours")


def graph(first, second):
    """The text of the net with these edges."""
    return GRAPH.replace("FIRST", str(first)).replace("SECOND", str(second))


def parameters(model):
    W = [np.array(model.params[f"{name}.W"]) for name in NAMES]
    return W, [np.array(model.params[f"{name}.theta"]) for name in NAMES]


def sparse_step(h, gamma, W, theta, edges):
    """Listing (65.119), node by node over neighbourhoods N_j = {i: edges[i, j] = 1}."""
    z, y = [h], [h]
    for matrix, offset, mask in zip(W, theta, edges, strict=True):
        near = [np.flatnonzero(mask[:, j]) for j in range(mask.shape[1])]
        sums = [sum(matrix[i, j] * y[-1][i] for i in near[j]) for j in range(len(near))]
        z.append(np.array(sums) - offset)
        y.append(np.tanh(z[-1]))
    delta = 2 * (y[-1] - gamma) * (1 - y[-1] ** 2)
    W, theta = [w.copy() for w in W], [t.copy() for t in theta]
    for layer in (1, 0):
        old, mask = W[layer].copy(), edges[layer]
        theta[layer] += MU * delta
        for i, j in np.argwhere(mask):
            W[layer][i, j] = (1 - 2 * MU * RHO) * old[i, j] - MU * y[layer][i] * delta[j]
        if layer:
            into = [sum(old[j, i] * delta[i] for i in np.flatnonzero(mask[j])) for j in range(4)]
            delta = (1 - y[layer] ** 2) * np.array(into)
    return W, theta


@experiment(
    "A18",
    "001.Ex65.6-1 001.Ex65.6-2",
    where="`layer neighbours(y: [n], edges: [n, m])` with `y @ (edges * W) - theta`; "
    "`examples/graph_network.net`",
)
def test_a18_graph_network_is_the_sparse_listing():
    """Outputs sum over neighbours as in (65.112); a step is listing (65.119), edge by edge;
    gradients of existing edges are central differences, those of absent edges exactly 0, and absent
    edges stay as they are. With all edges a step is that of (65.87)."""
    model = compiled(graph(FIRST, SECOND))
    edges = [np.array(FIRST, float), np.array(SECOND, float)]
    draw = redraw(model, 1)
    h, gamma = draw.normal(size=(1, 5)), draw.normal(size=(1, 3))
    W, theta = parameters(model)
    found = model.forward(h, training=True)
    np.testing.assert_allclose(found["z_2"][0], (W[0] * edges[0]).T @ h[0] - theta[0], rtol=1e-13)
    model.backward(gamma)
    for name, mask in zip(NAMES, edges, strict=True):
        gradient = np.array(model.grads[f"{name}.W"])
        assert not gradient[mask == 0].any()
        difference = objective_differences(model, f"{name}.W", h, gamma)
        np.testing.assert_allclose(gradient, difference, rtol=1e-6, atol=1e-9)
        model.forward(h, training=True)
        model.backward(gamma)
    model.step(h, gamma)
    listed = sparse_step(h[0], gamma[0], W, theta, edges)
    for moved, expected, start, mask in zip(parameters(model)[0], listed[0], W, edges, strict=True):
        np.testing.assert_allclose(moved, expected, rtol=1e-12)
        np.testing.assert_array_equal(moved[mask == 0], start[mask == 0])
    for moved, expected in zip(parameters(model)[1], listed[1], strict=True):
        np.testing.assert_allclose(moved, expected, rtol=1e-12)
    full = compiled(graph([[1] * 4] * 5, [[1] * 3] * 4))
    full.params.flat = model.params.flat
    W, theta = parameters(full)
    full.step(h, gamma)
    listed = listings.mini_batch(h, gamma, W, theta, KIND, mu=MU, rho=RHO)
    for moved, expected in zip(parameters(full)[0], listed[0], strict=True):
        np.testing.assert_allclose(moved, expected, rtol=1e-12)

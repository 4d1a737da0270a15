"""Logical functions: the XOR network set by hand, and networks of Perceptrons."""

from __future__ import annotations

from itertools import product

import numpy as np

from tests.catalogue.experiment import experiment
from tests.catalogue.feedforward.networks import AFFINE, network
from tests.catalogue.tools import compiled

CORNERS = np.array(list(product([0.0, 1.0], repeat=2)))


@experiment("A5", "001.P65.1", where="`relu` on two units, a linear output; parameters set by hand")
def test_a5_xor_network():
    """Two rectifiers and a linear output with the printed weights give exactly -1, -1, +1, +1 for
    (1, 1), (-1, -1), (1, -1), (-1, 1); one pre-activation is exactly 0."""
    model = compiled(network((2, 2, 1), "relu", "identity", extra="output hidden = z_2"))
    model.params["z_2.affine.W"] = -0.5 * np.ones((2, 2))
    model.params["z_2.affine.theta"] = [-1, 0]
    model.params["z_3.affine.W"] = [[2], [-4]]
    model.params["z_3.affine.theta"] = [1]
    found = model.forward(np.array([[1, 1], [-1, -1], [1, -1], [-1, 1]]))
    np.testing.assert_array_equal(found["gamma_hat"][:, 0], [-1, -1, 1, 1])
    np.testing.assert_array_equal(found["hidden"], [[0, -1], [2, 1], [1, 0], [1, 0]])


PERCEPTRON = """
net Perceptron {
  input h: [2]
  target gamma: [1]
  param w: [2, 1] = 0
  param theta: [1] = 0
  z = h @ w - theta
  output active = z > 0
  loss perceptron_criterion(z, gamma) + 0.05 * hinge(z, gamma)
}
train { optimizer = sgd(lr = 0.1); batch = 4 }
"""


@experiment("A6", "001.T65.5 001.65.1-12", where="`perceptron_criterion`, `hinge`; `z > 0`")
def test_a6_a_perceptron_learns_nand():
    """A single Perceptron, trained from zero, gives the table 1, 1, 1, 0 for 00, 01, 10, 11."""
    model = compiled(PERCEPTRON)
    table = np.array([1, 1, 1, 0])
    model.fit(CORNERS, 2 * table[:, None] - 1, epochs=400, progress=False)
    np.testing.assert_array_equal(model.forward(CORNERS)[:, 0], table)


GATES = """
fn nand(a, b) = 1.5 - a - b > 0
net Xor {
  input h: [2]
  a = h[0]
  b = h[1]
  c = nand(a, b)
  output both = nand(c, c)
  output xor = nand(nand(a, c), nand(b, c))
}
"""


def minterms(model):
    """Sets hidden Perceptron k to fire at row k of the truth table of three inputs only."""
    rows = np.array(list(product([0.0, 1.0], repeat=3)))
    model.params["rows.affine.W"] = (2 * rows - 1).T
    model.params["rows.affine.theta"] = rows.sum(1) - 0.5
    return rows


@experiment(
    "A6", "001.65.10-1 001.T65.5", where="`fn nand(a, b) = 1.5 - a - b > 0`; a layer of `z > 0`"
)
def test_a6_networks_of_perceptrons_compute_every_logical_function():
    """AND and XOR are networks of two and four NAND Perceptrons; one hidden layer of eight
    Perceptrons and an output each compute all 256 functions of three binary inputs."""
    found = compiled(GATES).forward(CORNERS)
    np.testing.assert_array_equal(found["both"], [0, 0, 0, 1])
    np.testing.assert_array_equal(found["xor"], [0, 1, 1, 0])
    model = compiled(
        AFFINE
        + """net Table {
          input h: [3]
          rows = h |> affine(8)
          z = (rows > 0) |> affine(256)
          output value = z > 0
        }"""
    )
    rows = minterms(model)
    tables = np.array(list(product([0.0, 1.0], repeat=8)))
    model.params["z.affine.W"] = tables.T
    model.params["z.affine.theta"] = np.full(256, 0.5)
    np.testing.assert_array_equal(model.forward(rows), tables.T)

"""Embeddings in nets: values and gradients against NumPy, unknown labels, learning."""

from __future__ import annotations

import numpy as np
import pytest

import netc
from tests.end_to_end.language import BATCHES, Arrays, Case, check, cross_entropy, total


def words(random: np.random.Generator, samples: int) -> Arrays:
    """Sentences of three words with gaps, and a label each."""
    return {
        "s": random.integers(-1, 7, (samples, 3)),
        "k": random.integers(0, 4, samples),
        "t": random.integers(0, 5, samples),
    }


def sentence(p, s, k, t):
    rows = p["e.embedding.W"][np.maximum(s, 0)] * (s >= 0)[..., None]
    kind = p["h.embedding.W"][k]
    z = (rows.sum(1) + kind) @ p["z.dense.W"] + p["z.dense.b"]
    return {
        "z": z,
        "first": rows[:, 0],
        "loss": cross_entropy(z, t),
        "penalty": 0.1 * total(p["e.embedding.W"][None] ** 2)[0],
    }


SENTENCES = """
  input s: class[7][3] missing
  input k: class[4]
  target t: class[5]
  e = s |> embedding(7, 9)
  h = k |> embedding(4, 9, init=uniform(-1, 1))
  z = sum(e, axis=0) + h |> dense(5)
  output z2 = z
  output first = e[0]
  loss cross_entropy(z, t)
  penalty 0.1 * l2(params("e.*"))
"""


def test_sentences() -> None:
    def renamed(p, s, k, t):
        found = sentence(p, s, k, t)
        return {"z2": found.pop("z"), **found}

    check(Case("sentences", SENTENCES, words, renamed, BATCHES))


def test_the_table_starts_with_the_standard_normal_law() -> None:
    text = "net N { input t: class[400]; output e = t |> embedding(400, 50) }"
    table = netc.compile(source=text).params["e.embedding.W"]
    assert table.shape == (400, 50)
    assert abs(float(table.mean())) < 0.02
    assert float(table.std()) == pytest.approx(1, abs=0.02)


def test_a_table_is_learned() -> None:
    """y = f(label) + g(word) for two tables, from noiseless data."""
    text = """
      net N {
        input a: class[20]
        input b: class[30]
        target y: [1]
        p = a |> embedding(20, 1, init=zeros)
        q = b |> embedding(30, 1, init=zeros)
        output sum2 = p + q
        loss squared_error(p + q, y)
      }
      train { optimizer = sgd(lr=2.0); batch = 100; epochs = 60; seed = 1 }
    """
    random = np.random.default_rng(2)
    f, g = random.normal(size=20), random.normal(size=30)
    a, b = random.integers(0, 20, 1000), random.integers(0, 30, 1000)
    y = (f[a] + g[b])[:, None]
    model = netc.compile(source=text)
    model.fit(a=a, b=b, y=y)
    np.testing.assert_allclose(model.forward(a=a, b=b), y, atol=0.02)


@pytest.mark.parametrize(("places", "op"), [(64, "eq"), (65, "gather")])
def test_brackets_gather_from_a_long_axis_of_what_all_samples_share(places: int, op: str) -> None:
    text = f"net N {{ input t: class[9]; param w: [{places}] = 1; output y = w[t] }}"
    graph = netc.compile(source=text).ir("simplified", "infer")
    assert f"= {op}" in graph

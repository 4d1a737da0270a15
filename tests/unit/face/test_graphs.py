"""Graphs cut out, edited and run by themselves, in Python and by `netc run`."""

from __future__ import annotations

import numpy as np
import pytest

import netc
from netc.__main__ import main

NET = """\
net Line {
  input  x: [2]
  target y: [1]
  p = x |> dense(1, act=tanh)
  output p
  loss squared_error(p, y)
}
train { optimizer = sgd(lr=0.1) }
"""


@pytest.fixture(scope="module")
def model():
    return netc.compile(source=NET)


@pytest.fixture(scope="module")
def data(model):
    x, y = np.array([[1.0, 2], [3, -1], [0.5, 0.25]]), np.array([[0.0], [1], [-1]])
    return {"x": x, "y": y, **model.params, **model.scalars}


def test_a_step_cut_out_is_the_step(model, data):
    again = netc.compile(source=NET)
    objective = again.step(data["x"], data["y"])
    for stage in ("backward", "simplified"):
        found = netc.run_graph(model.ir(stage), data)
        assert list(found) == ["p.dense.W", "p.dense.b", "objective", "loss"]
        np.testing.assert_allclose(found["objective"], objective, rtol=1e-6)
        np.testing.assert_allclose(found["p.dense.W"], again.params["p.dense.W"], rtol=1e-6)


def test_an_edit_counts(model, data):
    text = model.ir("simplified", "infer")
    assert " tanh " in text
    plain = netc.run_graph(text.replace(" tanh ", " exp "), data)["p"]
    z = data["x"] @ data["p.dense.W"] + data["p.dense.b"]
    np.testing.assert_allclose(plain, np.exp(z), rtol=1e-6)


@pytest.mark.parametrize("way", ["as written", "interpreter"])
def test_ways_to_run_agree(model, data, way):
    text = model.ir("graph", "evaluate")
    found, expected = netc.run_graph(text, data, way=way), netc.run_graph(text, data)
    assert found.keys() == expected.keys()
    for name, value in found.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-6)


def test_one_sample_is_one_sample(model, data):
    found = netc.run_graph(model.ir("simplified", "infer_one"), {**data, "x": [1.0, 2.0]})
    np.testing.assert_allclose(found["p"], model(data["x"])[0], rtol=1e-6)


UPDATE = """\
graph update
%0 = source{space='parameter', name='w'} : f32[3]
%1 = source{space='gradient', name='w'} : f32[3]
%2 = source{space='scalar', name='objective'} : f32[]
%3 = broadcast{axes=()} %2 : f32[3]
%4 = mul %1 %3 : f32[3]
%5 = sub %0 %4 : f32[3]
return parameter 'w' %5
return output 'same' %1
"""


def test_a_name_in_two_spaces_takes_the_space_before_it():
    data = {"parameter:w": [1.0, 2, 3], "gradient:w": [1.0, 0, -1], "objective": 0.5}
    found = netc.run_graph(UPDATE, data)
    assert found["w"].tolist() == [0.5, 2, 3.5]
    assert found["same"].tolist() == [1, 0, -1]
    with pytest.raises(netc.DataError, match=r"lack parameter `parameter:w` f32\[3\], gradient"):
        netc.run_graph(UPDATE, {"w": [1.0, 2, 3]})


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"x": np.zeros((3, 4))}, r"`x` has shape \(3, 4\), the graph reads f32\[B, 2\]"),
        ({"x": np.zeros((2, 2))}, "differ in their samples: `x` 2, `y` 3"),
        ({"x": np.zeros((0, 2))}, "`x` has no sample"),
        ({"x": "text"}, "`x` takes numbers"),
    ],
)
def test_arrays_that_do_not_fit_are_named(model, data, changed, words):
    with pytest.raises(netc.DataError, match=words):
        netc.run_graph(model.ir("graph"), {**data, **changed})


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("%0 = source{space='placeholder', name='x'} : f32[3]", "has no value to read"),
        ("%0 = source{space='scalar', name='x'} : f32[B, 3]", "is one value"),
    ],
)
def test_graphs_that_are_no_functions_are_refused(line, words):
    with pytest.raises(netc.DataError, match=words):
        netc.run_graph(f"graph f\n{line}\nreturn output 'y' %0\n", {"x": np.zeros((1, 3))})


def test_the_command(tmp_path, monkeypatch, capsys, model, data):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "g.txt").write_text(model.ir("graph", "infer"))
    np.savez("d.npz", **data)
    assert main(["run", "g.txt", "--data", "d.npz"]) == 0
    assert capsys.readouterr().out.startswith("p : [3, 1]\n[[")
    assert main(["run", "g.txt", "--data", "d.npz", "--out", "o.npz"]) == 0
    with np.load("o.npz") as archive:
        np.testing.assert_array_equal(archive["p"], model(data["x"]))
    assert main(["run", "g.txt"]) == 1
    assert "the data lack input `x` f32[B, 2], parameter `p.dense.W`" in capsys.readouterr().err
    (tmp_path / "g.txt").write_text(UPDATE.replace("mul", "mull"))
    assert main(["run", "g.txt"]) == 1
    place = " --> g.txt:6:6\n  |\n6 | %4 = mull %1 %3 : f32[3]\n  |      ^^^^\n"
    assert place in capsys.readouterr().err

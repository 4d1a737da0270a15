"""Image nets and their sizes: a dense layer, a dense net, LeNet layer by layer, its kernels."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import netc
from netc.__main__ import main
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled
from tests.end_to_end.data import enlarged_digits, mnist

WIDE = """
const claim = 187_500_000
net Wide {
  input image: [3, 250, 250]
  output h = image |> flatten |> dense(1000, bias=false)
  assert size(image) == 187_500 and count(params) == claim
}
"""


@experiment("000.6.1a", where="`netc check`, `assert count(params) == …`")
def test_000_6_1a_a_dense_layer_on_a_photograph(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """250·250·3 = 187,500 inputs and 1,000 hidden neurons make 187,500,000 weights, counted without
    making one; the round 200 million of the text is refused.
    """
    path = tmp_path / "wide.net"
    path.write_text(WIDE)
    assert main(["check", str(path), "--json"]) == 0
    table = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert table["parameters"] == table["macs"] == 187_500_000
    assert main(["check", str(path), "-D", "claim=200000000"]) != 0
    assert "187500000 == 200000000 is false" in capsys.readouterr().err


DENSE = """
net Dense {
  input image: [28, 28]
  target digit: class[10]
  h = image |> flatten |> dense(30, act=sigmoid)
  logits = h |> dense(10)
  loss cross_entropy(logits, digit)
  metric accuracy = argmax(logits) == digit
  shared = reshape(image, [1, 28, 28]) |> conv(20, kernel=5)
  output maps = mean(shared)
  assert count(params("h.*")) == 784 * 30 + 30 and count(params("shared.*")) == 520
}
train { optimizer = adam(lr=5e-3); batch = 50; epochs = 3 }
"""


@experiment("000.6.1b", "000.6.1b 000.6.9c", where="`dense` and `conv` of the prelude")
def test_000_6_1b_a_dense_net_on_images_of_digits() -> None:
    """784→30→10 has 23,550 parameters in its first layer, where 20 kernels of 5×5 with their biases
    have 520; trained on digits its loss falls in every epoch, from above 1 to below 0.6.
    """
    model = compiled(DENSE, precision="f32")
    count = {name: value.size for name, value in model.params.items()}
    assert count["h.dense.W"] + count["h.dense.b"] == 23_550
    assert count["shared.conv.W"] + count["shared.conv.b"] == 20 * (5 * 5 + 1) == 520
    history = model.fit(*enlarged_digits((28, 28)), progress=False)
    assert np.all(np.diff(history["loss"]) < 0)
    assert history["loss"][0] > 1
    assert history["loss"][2] < 0.6


LENET = """
net LeNet {
  input image: [1, 32, 32]
  target digit: class[10]

  c1 = image |> conv(6, kernel=5, act=tanh)
  s2 = c1 |> max_pool(2)
  c3 = s2 |> conv(16, kernel=5, act=tanh)
  s4 = c3 |> max_pool(2)
  layer full = conv(120, kernel=5)
  c5 = full(s4)
  f6 = c5 |> flatten |> tanh |> dense(84, act=tanh)
  logits = f6 |> dense(10)

  output p = softmax(logits)
  output c5
  output dense_c5 = flatten(s4) @ reshape(full.conv.W, [120, 400])' + full.conv.b
  output seen = jacobian(c1[.., 10, 10], image)
  loss cross_entropy(logits, digit)
  metric accuracy = argmax(logits) == digit

  assert shape(c1) == [6, 28, 28] and shape(s2) == [6, 14, 14]
  assert shape(c3) == [16, 10, 10] and shape(s4) == [16, 5, 5]
  assert shape(c5) == [120, 1, 1] and shape(f6) == [84] and shape(logits) == [10]
  assert count(params) == 61_706
}
train { optimizer = adam(lr=2e-3); batch = 50; epochs = 2 }
"""


@cache
def lenet() -> netc.Model:
    return compiled(LENET, precision="f32")


@experiment("000.6.9a", where="`examples/lenet.net`")
def test_000_6_9a_lenet_layer_by_layer() -> None:
    """LeNet's layers have 156, 0, 2416, 0, 48120, 10164 and 850 parameters, 61,706 in all, and make
    6×28×28, 6×14×14, 16×10×10, 16×5×5, 120, 84 and 10; its third convolution is a dense layer on
    400 numbers.
    """
    model = lenet()
    count: dict[str, int] = {}
    for name, value in model.params.items():
        layer = name.split(".")[0]
        count[layer] = count.get(layer, 0) + value.size
    assert count == {"c1": 156, "c3": 2416, "full": 48120, "f6": 10164, "logits": 850}
    assert model.params.flat.size == 61_706
    with pytest.raises(netc.CompileError, match="6, 28, 28"):
        compiled(LENET.replace("conv(6, kernel=5", "conv(6, kernel=3"))
    images, _ = enlarged_digits((1, 32, 32))
    model.params["full.conv.b"] = np.linspace(-1, 1, 120)
    found = model.forward(images[:20])
    np.testing.assert_allclose(found["c5"][..., 0, 0], found["dense_c5"], atol=1e-5)
    model.params["full.conv.b"] = np.zeros(120)


@experiment("000.6.9a", where="`examples/lenet.net`")
def test_000_6_9a_lenet_learns_digits() -> None:
    """Two epochs on 1,200 digits of 32×32 pixels bring the loss from 0.99 to 0.16; 94 % of 300
    others are right.
    """
    images, labels = enlarged_digits((1, 32, 32))
    model = lenet()
    history = model.fit(images[:1200], labels[:1200], progress=False)
    assert history["loss"] == pytest.approx([0.99, 0.16], abs=0.05)
    assert model.evaluate(images[1200:], labels[1200:])["accuracy"] > 0.92


@experiment(
    "000.6.9b", where="`netc train` reads a folder with the IDX files; `examples/lenet.net`"
)
def test_000_6_9b_lenet_on_mnist() -> None:
    """MNIST has 60,000 images to train with and 10,000 to test, of 28×28 pixels, not 50,000; padded
    to 32×32, one epoch on 3,000 of them gets LeNet to more than 85 % of 2,000.
    """
    images, labels = mnist("train")
    seen, digits = mnist("t10k")
    assert images.shape == (60_000, 784)
    assert seen.shape == (10_000, 784)
    assert np.unique(labels).tolist() == np.unique(digits).tolist() == list(range(10))
    padded, unseen = (
        np.pad(rows.reshape(-1, 1, 28, 28), ((0, 0), (0, 0), (2, 2), (2, 2)))
        for rows in (images[:3000], seen[:2000])
    )
    model = compiled(LENET, precision="f32")
    history = model.fit(padded, labels[:3000], epochs=1, progress=False)
    found = model.evaluate(unseen, digits[:2000])
    assert history["loss"][0] < np.log(10)
    assert found["loss"] < history["loss"][0]
    assert found["accuracy"] > 0.85


@experiment("000.6.11", where='`model.params["c1.conv.W"]`, an array of images')
def test_000_6_11_the_first_kernels_are_images_of_what_a_map_looks_for(tmp_path: Path) -> None:
    """LeNet's first layer gives six pictures of 5×5, light where a pixel excites the map and dark
    where it inhibits it: the derivative of a neuron by its receptive field points along its kernel.
    """
    image = pytest.importorskip("matplotlib.image")
    model = lenet()
    kernels = np.array(model.params["c1.conv.W"])[:, 0]
    for number, kernel in enumerate(kernels):
        image.imsave(tmp_path / f"{number}.png", kernel, cmap="gray")
    drawn = [image.imread(path)[..., 0] for path in sorted(tmp_path.iterdir())]
    assert len(drawn) == 6
    scene, _ = enlarged_digits((1, 32, 32))
    slopes = model.forward(scene[:1])["seen"][0, :, 0]
    for kernel, picture, slope in zip(kernels, drawn, slopes, strict=True):
        assert picture.shape == (5, 5)
        assert np.corrcoef(picture.ravel(), kernel.ravel())[0, 1] > 0.999
        patch = slope[10:15, 10:15]
        assert np.count_nonzero(slope) == np.count_nonzero(patch) == 25
        direction = patch / np.linalg.norm(patch)
        np.testing.assert_allclose(direction, kernel / np.linalg.norm(kernel), atol=1e-5)

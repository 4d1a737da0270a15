"""Families of nets, and what the texts name in passing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from netc.__main__ import main
from tests.catalogue.experiment import experiment
from tests.catalogue.tools import compiled

EXAMPLES = Path(__file__).parents[3] / "examples"

PHOTOS = """
net Photos {
  input image: [3, 1000, 1000]
  layer wide = flatten |> dense(1000, bias=false)
  layer windows = conv(10, 100, stride=100, bias=false)
  dense_one = wide(image)
  convolved = windows(image)
  output total = sum(dense_one) + sum(convolved)
  assert count(params("wide*")) == 3_000_000_000 and shape(flatten(convolved)) == [1000]
  assert count(params("windows*")) == 300_000
}
"""


@experiment("S47", "003.8 003.0", where="`netc check`; `assert count(params(…))`")
def test_s47_a_dense_layer_on_a_photo_has_three_thousand_million_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """3·10⁶ x 1000 = 3·10⁹ weights on 1000 x 1000 x 3; a convolution to 1000 units 3·10⁵."""
    path = tmp_path / "photos.net"
    path.write_text(PHOTOS)
    assert main(["check", str(path)]) == 0
    table = capsys.readouterr().out
    assert "3,000,000,000" in table
    assert " 300,000" in table
    path.write_text(PHOTOS.replace("3_000_000_000", "3_000_000_001"))
    assert main(["check", str(path)]) != 0


@experiment("S48", "003.9", where="`examples/vgg.net`")
def test_s48_vgg_is_pairs_of_small_convolutions_with_pools_between(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The layers of `examples/vgg.net`: 3 x 3 convolutions in pairs, widths that double."""
    assert main(["check", str(EXAMPLES / "vgg.net"), "--json"]) == 0
    layers = json.loads(capsys.readouterr().out.splitlines()[-1])["layers"]
    maps = [row for row in layers if row["layer"] == "conv"]
    assert [row["shape"] for row in maps[::2]] == [row["shape"] for row in maps[1::2]]
    widths = [row["shape"][0] for row in maps]
    assert widths[::2] == [16, 32, 64]
    before = [3, *widths[:-1]]
    taps = [row["parameters"] / a / b for row, a, b in zip(maps, before, widths, strict=True)]
    assert taps == [9] * 6


MORE_DATA = """
net MoreData {
  input x: [2]
  target inside: [1]
  line = x |> dense(1)
  deep = x |> dense(16, act=tanh) |> dense(1)
  loss binary_cross_entropy_with_logits(line, inside)
  loss binary_cross_entropy_with_logits(deep, inside)
  metric line_wrong = mean((line > 0) != inside)
  metric deep_wrong = mean((deep > 0) != inside)
}
train { optimizer = adam(lr=0.01); batch = 20; max_steps = 4000; epochs = 10_000 }
"""


@experiment("S48", "003.0", where="`dense` layers beside a linear model")
def test_s48_a_net_goes_on_improving_with_data_where_a_line_does_not() -> None:
    """In a disc or not, 20, 200, 2000 points: the net errs on 25, 5, 3 %, a line always on 40 %."""
    draw = np.random.default_rng(8)
    x = draw.uniform(-1, 1, (4000, 2))
    inside = ((x**2).sum(1, keepdims=True) < 0.6) * 1.0
    model = compiled(MORE_DATA)
    start, found = model.params.flat, []
    for samples in (20, 200, 2000):
        model.params.flat = start
        model.fit(x[:samples], inside[:samples], progress=False)
        found.append(model.evaluate(x[2000:], inside[2000:]))
    deep = [scores["deep_wrong"] for scores in found]
    assert deep[0] > 2 * deep[1]
    assert deep[1] > 1.5 * deep[2]
    assert min(scores["line_wrong"] for scores in found) > 0.35


TIED = """
net Tied {
  input x: [4]
  layer enc = dense(2, bias=false)
  param V: [2, 4]
  code = enc(x)
  output code
  loss squared_error(code @ enc.dense.W', x)
  metric untied = squared_error(code @ V, x)
  output up = grad(squared_error(code @ V, x), V)
  output down = grad(squared_error(code @ V, x), enc.dense.W)
}
"""


@experiment("S48", "003.6.13", where="`layer enc = …`: one instance used twice")
def test_s48_the_slope_of_a_tied_parameter_is_the_sum_over_its_uses() -> None:
    """A tied autoencoder's slope by W is that of the encoder plus, transposed, the decoder's."""
    x = np.random.default_rng(0).normal(size=(6, 4))
    model = compiled(TIED)
    model.params["V"] = model.params["enc.dense.W"].T
    found = model.forward(x, training=True)
    model.backward()
    both = found["down"][0] + found["up"][0].T
    np.testing.assert_allclose(model.grads["enc.dense.W"], both, rtol=1e-12)


BAGGED = """
## Five nets, each with its own weights for the samples of a bootstrap.
net Bagged {
  input x: [1]
  input times: [5]
  target y: [1]
  layer one = dense(20, act=tanh, init=normal(0, 3)) |> dense(1)
  layer two = dense(20, act=tanh, init=normal(0, 3)) |> dense(1)
  layer three = dense(20, act=tanh, init=normal(0, 3)) |> dense(1)
  layer four = dense(20, act=tanh, init=normal(0, 3)) |> dense(1)
  layer five = dense(20, act=tanh, init=normal(0, 3)) |> dense(1)
  p = [one(x)[0], two(x)[0], three(x)[0], four(x)[0], five(x)[0]]
  output p
  loss sum(times * (p - y)^2)
  metric members = mean((p - y)^2)
  metric together = (mean(p) - y[0])^2
  metric spread = mean((p - mean(p))^2)
}
train { optimizer = adam(lr=0.01); batch = 40; epochs = 500 }
"""


@experiment("S48", "003.6.13", where="several instances in one net, `times` as an input")
def test_s48_a_bagged_ensemble_beats_its_mean_member_by_their_spread() -> None:
    """Error of the mean = mean error - spread of the members, 1e-12; lower than every second."""
    draw = np.random.default_rng(1)
    x, unseen = draw.uniform(-2, 2, (40, 1)), draw.uniform(-2, 2, (300, 1))
    y, truth = (np.sin(2 * v) + 0.4 * draw.normal(size=v.shape) for v in (x, unseen))
    times = draw.multinomial(40, [1 / 40] * 40, size=5).T
    model = compiled(BAGGED)
    model.fit(x, times, y, progress=False)
    found = model.evaluate(unseen, np.ones((300, 5)), truth)
    assert found["together"] == pytest.approx(found["members"] - found["spread"], rel=1e-12)
    assert found["spread"] > 0.01
    each = ((model.forward(unseen, np.ones((300, 5))) - truth) ** 2).mean(0)
    assert found["together"] < np.median(each)


TANGENT = """
## Rotations of the plane leave the class alone, so the slope along them is penalised.
net Tangent {
  input x: [2]
  target y: [1]
  param strength = 0
  z = x |> dense(16, act=tanh) |> dense(1)
  along = grad(z[0], x) @ [-x[1], x[0]]
  loss binary_cross_entropy_with_logits(z, y) + strength * along^2
  metric wrong = mean((z > 0) != y)
  metric slope = along^2
}
train { optimizer = adam(lr=0.02); freeze("strength"); batch = 20; epochs = 400 }
"""


@experiment("S48", "003.6.13", where="`grad(z, x)` in a `loss`")
def test_s48_tangent_propagation_learns_an_invariance() -> None:
    """Two rings, 20 samples: a penalty on the slope along rotations halves the error at least."""
    draw = np.random.default_rng(2)
    angle, radius = draw.uniform(0, 2 * np.pi, 1020), draw.choice([0.5, 1.0], 1020)
    radius_seen = radius + 0.1 * draw.normal(size=1020)
    x = radius_seen[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    y = (radius > 0.75)[:, None] * 1.0
    model, scores = compiled(TANGENT), {}
    start = model.params.flat
    for strength in (0, 1):
        model.params.flat = start
        model.params["strength"] = strength
        model.fit(x[:20], y[:20], progress=False)
        scores[strength] = model.evaluate(x[20:], y[20:])
    assert scores[1]["slope"] < 0.2 * scores[0]["slope"]
    assert scores[1]["wrong"] < 0.5 * scores[0]["wrong"]


ADVERSARIAL = """
net Adversarial {
  input x: [20]
  target t: class[2]
  param hardened = 0
  layer read = dense(32, act=relu) |> dense(2)
  clean = cross_entropy(read(x), t)
  attack = x + 0.5 * sign(stop_gradient(grad(clean, x)))
  attacked = cross_entropy(read(attack), t)
  loss (1 - hardened / 2) * clean + hardened / 2 * attacked
  metric clean_wrong = argmax(read(x)) != t
  metric attacked_wrong = argmax(read(attack)) != t
}
train { optimizer = adam(lr=0.005); freeze("hardened"); batch = 50; epochs = 60 }
"""


@experiment("S48", "003.6.13", where="`sign(grad(loss, x))` in a `loss`")
def test_s48_training_on_attacked_samples_makes_a_net_harder_to_fool() -> None:
    """Steps of 0.5 along the sign of the slope fool the plain net more often than the hardened."""
    draw = np.random.default_rng(3)
    t = draw.integers(0, 2, 900)
    x = draw.normal(size=(900, 20))
    x[:, 0] += 4 * t - 2
    model, wrong = compiled(ADVERSARIAL), {}
    start = model.params.flat
    for hardened in (False, True):
        model.params.flat = start
        model.params["hardened"] = hardened
        model.fit(x[:200], t[:200], progress=False)
        wrong[hardened] = model.evaluate(x[200:], t[200:])
    assert wrong[False]["attacked_wrong"] > wrong[False]["clean_wrong"] + 0.05
    assert wrong[True]["attacked_wrong"] < 0.7 * wrong[False]["attacked_wrong"]


DENOISING = """
net Denoising {
  input x: [10]
  input hidden: [10]
  noisy = hidden * x
  p = noisy |> dense(30, act=tanh) |> dense(10)
  output p
  loss squared_error(p, x)
  metric before = squared_error(noisy, x)
}
train { optimizer = adam(lr=0.01); batch = 50; epochs = 100 }
"""


@experiment("S48", "003.9", where="`examples/denoising_autoencoder.net`")
def test_s48_a_denoising_autoencoder_fills_in_what_is_hidden() -> None:
    """Data of two hidden causes with a fifth of the elements at 0: the error falls 5-fold."""
    draw = np.random.default_rng(4)
    x = draw.normal(size=(1200, 2)) @ draw.normal(size=(2, 10))
    hidden = draw.uniform(size=x.shape) > 0.2
    model = compiled(DENOISING)
    model.fit(x[:1000], hidden[:1000], progress=False)
    scores = model.evaluate(x[1000:], hidden[1000:])
    assert scores["loss"] < 0.2 * scores["before"]


RIVALS = """
## The same number, but a slope turned round: what lowers the loss for one raises it for the other.
fn rival(x) = x gradient(g) = -g

net Rivals {
  input noise: [1]
  input real: [1]
  param shift: [1] = 0
  param slope: [1] = 0
  fake = noise + shift
  output fake
  told = slope * rival(fake)
  loss mean(softplus(told) + softplus(-slope * real))
  penalty 0.5 * l2(slope)
}
train { optimizer = sgd(lr=0.1); batch = 100; epochs = 300 }
"""


@experiment("S48", "003.9", where="an `fn` with a `gradient` clause that turns the slope round")
def test_s48_adversarial_nets_make_the_fake_look_like_the_real() -> None:
    """A generator that shifts N(0, 1) against a discriminator ends at the mean 3 of the data."""
    draw = np.random.default_rng(5)
    noise, real = draw.normal(size=(500, 1)), draw.normal(3, 1, (500, 1))
    model = compiled(RIVALS)
    model.fit(noise, real, progress=False)
    goal = real.mean() - noise.mean()
    assert float(model.params["shift"][0]) == pytest.approx(goal, abs=0.1)
    assert abs(float(model.params["slope"][0])) < 0.1, "the discriminator cannot tell any more"


HOPFIELD = """
fn recalled(s: [n], W) = where(W @ s >= 0, 1, -1)
fn energy(s, W) = -0.5 * sum(s * (W @ s))

net Hopfield {
  input s: [100]
  param W: [100, 100] = 0
  last = s |> repeat(5, recalled(W))
  output last
  output energies = [energy(s, W), energy(s |> recalled(W), W), energy(last, W)]
}
"""


@experiment("S48", "003.9", where="`repeat(5, …)`: a recurrent net unrolled")
def test_s48_a_hopfield_net_recalls_its_patterns() -> None:
    """Five patterns in 100 units: each is a fixed point, and is found from 10 wrong signs."""
    draw = np.random.default_rng(6)
    patterns = draw.choice([-1.0, 1.0], (5, 100))
    model = compiled(HOPFIELD)
    model.params["W"] = (patterns.T @ patterns - 5 * np.eye(100)) / 100
    np.testing.assert_array_equal(model.forward(patterns)["last"], patterns)
    damaged = patterns.copy()
    for row in damaged:
        row[draw.permutation(100)[:10]] *= -1
    found = model.forward(damaged)
    np.testing.assert_array_equal(found["last"], patterns)
    assert (np.diff(found["energies"], axis=1) <= 1e-12).all()


MEMORY = """
## The answer is what the first of five steps said; the other steps say nothing of it.
net Memory {
  input x: [5, 2]
  target said: class[2]
  simple = x |> rnn(4) |> dense(2)
  long = x |> lstm(4) |> dense(2)
  last = x[-1] |> dense(2)
  loss cross_entropy(simple, said) + cross_entropy(long, said) + cross_entropy(last, said)
  metric simple_right = argmax(simple) == said
  metric long_right = argmax(long) == said
  metric last_right = argmax(last) == said
}
train { optimizer = adam(lr=0.01); batch = 50; epochs = 30; clip_norm = 1 }
"""


@experiment("S48", "003.0 003.9", where="`rnn`, `lstm` of the prelude; `examples/lstm.net`")
def test_s48_recurrent_nets_remember_the_first_of_five_steps() -> None:
    """A simple recurrent net and an LSTM answer above 95 % right, the last step alone by chance."""
    draw = np.random.default_rng(7)
    x = draw.normal(size=(1000, 5, 2))
    said = draw.integers(0, 2, 1000)
    x[:, 0, 0] = 2 * said - 1
    model = compiled(MEMORY)
    model.fit(x[:500], said[:500], progress=False)
    scores = model.evaluate(x[500:], said[500:])
    assert scores["simple_right"] > 0.95
    assert scores["long_right"] > 0.95
    assert scores["last_right"] < 0.6

"""The same bits for every number of threads, whatever the net and the call; and in finite time."""

from __future__ import annotations

import os
import signal
import threading
import time
from functools import cache

import numpy as np
import pytest

from netc.compiling import program_of
from netc.grammar.source import Source
from netc.model import Model

MLP = """
net Mlp {
  input x: [37]
  target t: class[10]
  z = x |> dense(70, act=tanh) |> dense(33, act=relu) |> dense(10)
  output p = softmax(z)
  loss cross_entropy(z, t)
  metric accuracy = argmax(z) == t
}
train { optimizer = adam(lr=1e-2); batch = 48; shuffle = true; epochs = 3 }
"""

LENET = """
net Small {
  input x: [1, 14, 14]
  target t: class[4]
  z = x |> conv(5, kernel=3, padding=1) |> tanh |> avg_pool(2) |> conv(7, kernel=3) |> relu
        |> max_pool(2) |> flatten |> dense(4)
  output z
  loss cross_entropy(z, t)
}
train { optimizer = sgd(lr=1e-2); batch = 40; epochs = 2 }
"""

NORMS = """
net Norms {
  input x: [3, 6, 6]
  target t: class[5]
  z = x |> conv(9, kernel=3, padding=1) |> batch_norm |> relu |> flatten |> dense(20) |> batch_norm
        |> relu |> dropout(0.4) |> dense(5)
  output z
  loss cross_entropy(z, t)
}
train { optimizer = adam(lr=1e-3); batch = 40; clip_norm = 1.0; shuffle = "with_replacement" }
"""

REGRESSION = """
net Line {
  input x: [19]
  target t: [3]
  h = x |> dense(64, act=sigmoid)
  y = h |> dense(3)
  output y
  output h
  loss sum((y - t)^2) + 0.1 * mean(abs(h))
}
train { optimizer = sgd(lr=1e-2); batch = 33 }
"""

LINEAR = """
net Linear {
  input x: [19]
  target t: [1]
  y = x |> dense(5, bias=false)
  output y
  loss sum((y - t)^2)
}
train { optimizer = sgd(lr=1e-2) }
"""

NETS = {"mlp": MLP, "lenet": LENET, "norms": NORMS, "regression": REGRESSION, "linear": LINEAR}
THREADS = (1, 2, 3, 4)


@pytest.fixture(autouse=True)
def always_together(monkeypatch):
    """However little there is to do."""
    monkeypatch.setattr("netc.runtime.executable.worth", lambda spec, blocks: 64)
    monkeypatch.setattr("netc.runtime.executable.WORTH_WAKING", 0)


@cache
def program(name, precision):
    """Compiled once: the same native functions serve every number of threads."""
    return program_of(Source("<source>", NETS[name]), {}, precision)


def compiled(name, threads, precision="f32"):
    return Model(program(name, precision), defines={}, seed=3, threads=threads)


def samples(model, count, seed=0):
    draw = np.random.default_rng(seed)
    (x,), (t,) = model.manifest.inputs, model.manifest.targets
    inputs = draw.normal(size=(count, *x.shape)).astype(model.dtype)
    if t.kind == "class":
        return inputs, draw.integers(0, t.classes, count)
    return inputs, draw.normal(size=(count, *t.shape)).astype(model.dtype)


def values(model):
    blocks = (model.params, model.state, model.optimizer_state)
    return [b.flat.tobytes() for b in blocks]


def bits(found):
    """Arrays, numbers and dicts of them as something to compare bit by bit."""
    if isinstance(found, dict):
        return {name: bits(value) for name, value in found.items()}
    return np.asarray(found).tobytes()


def same(name, act, precision="f32"):
    """Asserts that `act(model)` gives the same for every number of threads; returns it."""
    found = [act(compiled(name, threads, precision)) for threads in THREADS]
    for threads, one in zip(THREADS[1:], found[1:], strict=True):
        assert one == found[0], f"{threads} threads"
    return found[0]


@pytest.mark.parametrize("precision", ["f32", "f64"])
@pytest.mark.parametrize("name", NETS)
def test_steps_of_different_batches(name, precision):
    def act(model):
        losses = [model.step(*samples(model, n, n)) for n in (64, 1, 17, 130, 33)]
        return bits(np.array(losses)), values(model)

    same(name, act, precision)


@pytest.mark.parametrize("name", NETS)
def test_forward_backward_update(name):
    def act(model):
        x, t = samples(model, 70)
        outputs = bits(model.forward(x, training=True))
        objective = bits(model.backward(t))
        gradients = model.grads.flat.tobytes()
        model.update()
        return outputs, objective, gradients, values(model)

    same(name, act)


@pytest.mark.parametrize("name", NETS)
def test_inference_and_scores(name):
    def act(model):
        found = []
        for count in (1, 16, 77, 1500):
            x, t = samples(model, count)
            found += [bits(model.forward(x)), bits(model.predict(x)), bits(model.evaluate(x, t))]
        return found

    same(name, act)


@pytest.mark.parametrize("name", NETS)
def test_fit_with_a_rest_of_a_batch_and_validation(name):
    def act(model):
        history = model.fit(
            *samples(model, 203),
            validation=samples(model, 50, 1),
            epochs=3,
            progress=False,
        )
        return bits(history["loss"]), bits(history["validation.loss"]), values(model)

    same(name, act)


@pytest.mark.parametrize("name", ["mlp", "norms"])
def test_a_run_cut_short_and_resumed_with_other_threads(name):
    whole = compiled(name, 1)
    whole.fit(*samples(whole, 203), epochs=3, progress=False)
    for threads, others in ((2, 1), (3, 4)):
        model = compiled(name, threads)
        model.fit(*samples(model, 203), epochs=3, max_steps=7, progress=False)
        model.threads = others
        model.fit(*samples(model, 203), epochs=3, max_steps=99, progress=False, resume=True)
        assert values(model) == values(whole)


def test_functions_are_shared_when_they_have_much_to_do(monkeypatch):
    model = compiled("mlp", 4)
    seen = []
    together = type(model._executable)._together
    monkeypatch.setattr(
        type(model._executable),
        "_together",
        lambda self, call, threads: (
            seen.append((call.spec.name, threads)) or together(self, call, threads)
        ),
    )
    x, t = samples(model, 64)
    model.step(x, t)
    model.forward(x)
    model.fit(x, t, epochs=1, progress=False)
    assert seen == [("step", 4), ("infer", 4), ("train", 4)]
    seen.clear()
    model.threads = 1
    model.step(x, t)
    monkeypatch.setattr("netc.runtime.executable.worth", lambda spec, blocks: 1)
    model.threads = 4
    model.step(x, t)
    assert seen == []


def test_more_threads_than_cores_come_to_an_end():
    """Barriers of threads that wait for a core hand over the one they have."""
    model = compiled("mlp", 2 * (os.cpu_count() or 1) + 1)
    x, t = samples(model, 480)
    model.fit(x, t, epochs=1, progress=False)
    began = time.perf_counter()
    history = model.fit(x, t, epochs=30, progress=False)  # 300 steps
    assert time.perf_counter() - began < 20
    assert history["loss"][-1] < history["loss"][0]


def test_an_interrupt_ends_a_fit_with_threads():
    model = compiled("mlp", 3)
    x, t = samples(model, 480)
    model.fit(x, t, epochs=1, progress=False)
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    began = time.perf_counter()
    history = model.fit(x, t, epochs=10**6, progress=False)
    assert time.perf_counter() - began < 10
    assert history.interrupted
    steps = history.epochs[-1].steps
    again = compiled("mlp", 1)
    again.fit(x, t, epochs=1, progress=False)
    again.fit(x, t, epochs=10**6, max_steps=steps - 10, progress=False)
    assert values(again) == values(model)


def test_two_models_at_once_share_one_team():
    models = [compiled("mlp", 2), compiled("lenet", 3)]
    data = [samples(m, 120) for m in models]
    workers = [
        threading.Thread(target=m.fit, args=d, kwargs={"epochs": 8, "progress": False})
        for m, d in zip(models, data, strict=True)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    for name, model, (x, t) in zip(("mlp", "lenet"), models, data, strict=True):
        alone = compiled(name, 1)
        alone.fit(x, t, epochs=8, progress=False)
        assert values(alone) == values(model)


def test_denormals_are_flushed_on_every_thread():
    """A worker that kept them would write products that are not zero."""
    model = compiled("linear", 4)
    x, _ = samples(model, 200)
    model.params["y.dense.W"][...] = 1e-20
    assert np.all(model.forward(np.full_like(x, 1e-10)) > 0)
    assert not model.forward(np.full_like(x, 1e-20)).any()

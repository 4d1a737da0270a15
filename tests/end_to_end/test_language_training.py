"""The train block against a training loop in NumPy: optimizers, schedules, clips, stopping."""

from __future__ import annotations

import numpy as np
import pytest

import netc
from netc.__main__ import main
from tests.end_to_end.language import Array, Arrays

NET = """
net Linear {
  input x: [3]
  target t: [2]
  a = x |> dense(4)
  b = a |> dense(2)
  output b
  loss squared_error(b, t)
  penalty 0.01 * l2(weights)
}
"""
SAMPLES = 22
NAMES = ("a.dense.W", "a.dense.b", "b.dense.W", "b.dense.b")


def data(samples: int = SAMPLES) -> tuple[Array, Array]:
    random = np.random.default_rng(5)
    return random.normal(0, 1, (samples, 3)), random.normal(0, 1, (samples, 2))


def slopes(p: Arrays, x: Array, t: Array) -> tuple[float, Arrays]:
    """The objective and its gradients."""
    W, V = p["a.dense.W"], p["b.dense.W"]
    a = x @ W + p["a.dense.b"]
    r = a @ V + p["b.dense.b"] - t
    value = (r**2).sum(1).mean() + 0.01 * ((W**2).sum() + (V**2).sum())
    r = 2 * r / len(x)
    s = r @ V.T
    return float(value), {
        "a.dense.W": x.T @ s + 0.02 * W,
        "a.dense.b": s.sum(0),
        "b.dense.W": a.T @ r + 0.02 * V,
        "b.dense.b": r.sum(0),
    }


def trained(train: str, extra: str = "", **options: object) -> tuple[netc.Model, Arrays]:
    """The model after `fit`, and its parameters from before."""
    model = netc.compile(source=f"{extra}{NET}train {{ {train} }}", precision="f64")
    before = {k: np.array(v) for k, v in model.params.items()}
    model.fit(*data(), progress=False, **options)
    return model, before


def simulate(p: Arrays, update, *, batch: int, epochs: int) -> Arrays:
    """The same in NumPy, in order; `update(name, w, g, memory, step, epoch, gradients)`."""
    x, t = data()
    memory: dict[str, Arrays] = {k: {} for k in p}
    step = 0
    for epoch in range(1, epochs + 1):
        for start in range(0, len(x), batch):
            step += 1
            _, g = slopes(p, x[start : start + batch], t[start : start + batch])
            p = {k: update(k, p[k], g[k], memory[k], step, epoch, g) for k in p}
    return p


def same(model: netc.Model, expected: Arrays) -> None:
    for name, value in expected.items():
        np.testing.assert_allclose(model.params[name], value, rtol=1e-10, atol=1e-13, err_msg=name)


def sgd(rate):
    """`w - rate(step, epoch) g`."""

    def update(name, w, g, memory, step, epoch, gradients):
        return w - rate(step, epoch) * g

    return update


STEPS = 9  # 3 epochs in batches of 8, 8 and 6
SCHEDULES = {
    "0.1 * 0.9^epoch": lambda s, e: 0.1 * 0.9**e,
    "0.1 / step": lambda s, e: 0.1 / s,
    "0.1 * inverse_time(0.5)": lambda s, e: 0.1 / (1 + 0.5 * e),
    "0.1 * linear_decay()": lambda s, e: 0.1 * (1 - 0.99 * s / STEPS),
    "0.1 * exponential_decay(0.5, every=2)": lambda s, e: 0.1 * 0.5 ** (e / 2),
    "0.1 * warmup(4) * inverse_sqrt()": lambda s, e: 0.1 * min(s / 4, 1) / np.sqrt(e),
    "piecewise([2, 3], [0.1, 0.05, 0.01])": lambda s, e: [0.1, 0.05, 0.01][e - 1],
    "0.1 * power_decay(5, c=2)": lambda s, e: 0.1 * (1 + s / 5) ** -2,
    "0.1 * step / steps + 0.01 * epoch / epochs": lambda s, e: 0.1 * s / STEPS + 0.01 * e / 3,
    "if 1 < 2 then 0.02 * max(step, 3) else 1": lambda s, e: 0.02 * max(s, 3),
}


@pytest.mark.parametrize("rate", SCHEDULES)
def test_schedules(rate: str) -> None:
    text = f"optimizer = sgd(lr={rate}); batch = 8; epochs = 3; shuffle = false"
    model, before = trained(text)
    same(model, simulate(before, sgd(SCHEDULES[rate]), batch=8, epochs=3))


OWN = """
optimizer lars(lr = 0.1, trust = 0.01, beta = 0.9) {
  state v = 0
  state count: [] = 0
  state top: [] = 1
  count <- count + 1
  norm = sqrt(sum(w^2))
  slope = sqrt(sum(g^2))
  local = where(norm > 0 and slope > 0, trust * norm / (slope + 1e-12), 1)
  top <- max(top, max(abs(g)))
  v <- beta * v + g * local / top
  w <- w - lr * v * (1 + 1 / count) * min(1, objective)
}
"""


def lars(p: Arrays) -> object:
    def update(name, w, g, memory, step, epoch, gradients):
        count = memory["count"] = memory.get("count", 0) + 1
        norm, slope = np.sqrt((w**2).sum()), np.sqrt((g**2).sum())
        local = 0.01 * norm / (slope + 1e-12) if norm > 0 and slope > 0 else 1
        top = memory["top"] = max(memory.get("top", 1), np.abs(g).max())
        v = memory["v"] = 0.9 * memory.get("v", 0) + g * local / top
        return w - 0.1 * v * (1 + 1 / count)

    return update


def test_an_optimizer_with_reductions_and_scalar_states() -> None:
    text = "optimizer = lars(); batch = 8; epochs = 3; shuffle = false"
    # the objective stays above 1 here, so that min(1, objective) is 1
    model, before = trained(text, OWN)
    assert min(model.history["objective"]) > 1.2
    same(model, simulate(before, lars(before), batch=8, epochs=3))
    assert model.optimizer_state["a.dense.W.count"] == 9
    assert model.optimizer_state["a.dense.W.count"].shape == ()
    assert model.optimizer_state["b.dense.W.v"].shape == (4, 2)


def test_groups_and_freeze() -> None:
    text = """
      optimizer = sgd(lr=0.1)
      optimizer("*.b") = momentum(lr=0.05, beta=0.5)
      optimizer("b.*") = sgd(lr=0.02)
      freeze("a.dense.b")
      batch = 8; epochs = 2; shuffle = false
    """

    def update(name, w, g, memory, step, epoch, gradients):
        match name:
            case "a.dense.W":
                return w - 0.1 * g
            case "a.dense.b":
                return w
            case _:
                return w - 0.02 * g

    model, before = trained(text)
    same(model, simulate(before, update, batch=8, epochs=2))
    model, before = trained(text, **{"b.*.lr": 0.02, "lr": 0.1})
    same(model, simulate(before, update, batch=8, epochs=2))
    assert {"lr", "*.b.lr", "b.*.lr"} <= set(model.scalars)


@pytest.mark.parametrize("clip", ["clip_value = 0.3", "clip_norm = 0.7"])
def test_clipping(clip: str) -> None:
    def update(name, w, g, memory, step, epoch, gradients):
        if "value" in clip:
            return w - 0.1 * np.clip(g, -0.3, 0.3)
        norm = np.sqrt(sum((v**2).sum() for v in gradients.values()))
        return w - 0.1 * g * min(1, 0.7 / norm)

    text = f"optimizer = sgd(lr=0.1); {clip}; batch = 8; epochs = 2; shuffle = false"
    model, before = trained(text)
    same(model, simulate(before, update, batch=8, epochs=2))
    assert not np.allclose(model.params.flat, trained(text.replace(clip, ""))[0].params.flat)


def test_both_clips_and_clipping_at_run_time() -> None:
    text = "optimizer = sgd(lr=0.1); clip_norm = 0.7; batch = 30; shuffle = false"
    first, before = trained(text, clip_norm=0.2)
    _, g = slopes(before, *data())
    norm = np.sqrt(sum((v**2).sum() for v in g.values()))
    same(first, {k: before[k] - 0.1 * g[k] * 0.2 / norm for k in before})
    second, _ = trained(text.replace("0.7", "0.2"))
    assert np.array_equal(first.params.flat, second.params.flat)


@pytest.mark.parametrize("shuffle", ["true", "false", '"with_replacement"'])
def test_runs_are_repeatable_and_seeds_matter(shuffle: str) -> None:
    text = f"optimizer = adam(lr=0.05); batch = 8; epochs = 3; shuffle = {shuffle}; seed = "
    first, _ = trained(text + "4")
    again, _ = trained(text + "4")
    other, _ = trained(text + "5")
    assert first.params.flat.tobytes() == again.params.flat.tobytes()
    assert first.optimizer_state.flat.tobytes() == again.optimizer_state.flat.tobytes()
    assert not np.array_equal(first.params.flat, other.params.flat)


def test_max_steps_and_a_smaller_last_batch() -> None:
    text = "optimizer = sgd(lr=0.1); batch = 8; max_steps = 4; shuffle = false"
    model, before = trained(text)
    p, (x, t) = before, data()
    for cut in (slice(0, 8), slice(8, 16), slice(16, 22), slice(0, 8)):
        g = slopes(p, x[cut], t[cut])[1]
        p = {k: p[k] - 0.1 * g[k] for k in p}
    same(model, p)
    assert model.history.stopped == "max_steps"
    assert model.history.epochs[-1].steps == 4


def test_history_is_the_mean_over_samples() -> None:
    model, before = trained("optimizer = sgd(lr=0); batch = 8; epochs = 1")
    value, _ = slopes(before, *data())
    x, t = data()
    weights = 0.01 * sum((before[k] ** 2).sum() for k in NAMES if k.endswith("W"))
    assert model.history["loss"][0] == pytest.approx(value - weights, rel=1e-12)
    assert model.history["objective"][0] == pytest.approx(value, rel=1e-12)
    assert model.evaluate(x, t)["loss"] == pytest.approx(value - weights, rel=1e-12)


def test_patience_restores_the_best() -> None:
    text = "optimizer = sgd(lr=3); batch = 22; epochs = 50; patience = 2; restore_best = true"
    model, _ = trained(text, validation=data())
    assert model.history.stopped == "patience"
    scores = model.history["validation.loss"]
    assert len(scores) == int(np.nanargmin(scores)) + 3
    x, t = data()
    assert model.evaluate(x, t)["loss"] == pytest.approx(np.nanmin(scores), rel=1e-12)


def test_stop_change_and_min_delta() -> None:
    model, _ = trained("optimizer = sgd(lr=0); epochs = 9; stop_change = 1e-9")
    assert (model.history.stopped, len(model.history)) == ("stop_change", 2)
    model, _ = trained("optimizer = sgd(lr=1e-6); epochs = 9; patience = 2; min_delta = 1")
    assert (model.history.stopped, len(model.history)) == ("patience", 3)


def test_validation_held_out_in_order() -> None:
    """Without shuffling the last samples are held out."""
    text = "optimizer = sgd(lr=0.1); batch = 100; shuffle = false; validation = 0.25"
    model, before = trained(text)
    x, t = data()
    g = slopes(before, x[:16], t[:16])[1]  # a quarter of 22 is 5.5, rounded to 6
    same(model, {k: before[k] - 0.1 * g[k] for k in before})


@pytest.mark.parametrize("samples", [1, 2, 15, 16, 17, 33, 1000])
@pytest.mark.parametrize("precision", ["f32", "f64"])
def test_one_step_is_its_three_parts(samples: int, precision: str) -> None:
    text = NET.replace("|> dense(4)", "|> dense(4) |> dropout(0.3) |> gaussian_noise(0.1) |> rrelu")
    text += "train { optimizer = momentum(lr=0.05); clip_norm = 1 }"
    one = netc.compile(source=text, precision=precision, seed=3)
    two = netc.compile(source=text, precision=precision, seed=3)
    x, t = data(samples)
    tolerance = 2e-5 if precision == "f32" else 1e-12
    for _ in range(3):
        one.forward(x, training=True)
        value = one.backward(t)
        one.update()
        assert two.step(x, t) == pytest.approx(value, rel=tolerance)
    np.testing.assert_allclose(one.params.flat, two.params.flat, rtol=0, atol=tolerance)
    np.testing.assert_allclose(
        one.optimizer_state.flat, two.optimizer_state.flat, rtol=0, atol=tolerance
    )


CLOCK = NET.replace("squared_error(b, t)", "squared_error(b, t) * (1 + step / steps)").replace(
    "0.01 * l2", "0.01 * epoch / epochs * l2"
)


def test_the_clock_in_loss_and_penalty() -> None:
    """`step`, `steps`, `epoch` and `epochs` are run-time numbers in the net as well."""
    text = f"{CLOCK} train {{ optimizer = sgd(lr=0.05); batch = 8; epochs = 3; shuffle = false }}"
    model = netc.compile(source=text, precision="f64")
    before = {k: np.array(v) for k, v in model.params.items()}
    model.fit(*data(), progress=False)

    def update(name, w, g, memory, step, epoch, gradients):
        decay = 0.02 * w if name.endswith("W") else 0.0
        return w - 0.05 * ((g - decay) * (1 + step / STEPS) + decay * epoch / 3)

    same(model, simulate(before, update, batch=8, epochs=3))


MEASURED = NET.replace("penalty", "metric rmse = sqrt(sum((b - t)^2))\n  penalty")


@pytest.mark.parametrize(
    ("monitor", "name", "best"),
    [
        ("-rmse", "validation.rmse", np.argmin),
        ("rmse", "validation.rmse", np.argmax),
        ("-validation.rmse", "validation.rmse", np.argmin),
        ("-training.rmse", "rmse", np.argmin),
        ("training.loss", "loss", np.argmin),
        ("objective", "validation.objective", np.argmin),
    ],
)
def test_the_monitor_decides_which_epoch_is_kept(monitor: str, name: str, best) -> None:
    text = (
        f'{MEASURED} train {{ optimizer = sgd(lr=0.05 * epoch); monitor = "{monitor}"; '
        "epochs = 9; batch = 8; restore_best = true }"
    )
    model = netc.compile(source=text, precision="f64")
    x, t = data()
    model.fit(x[:12], t[:12], validation=(x[12:], t[12:]), progress=False)
    assert model.history.kept_epoch == 1 + best(model.history[name])
    assert len(model.history) == 9


SETTINGS = [
    ("batch = 5", {"batch": 5}),
    ("epochs = 4", {"epochs": 4}),
    ("max_steps = 7", {"max_steps": 7}),
    ("shuffle = false", {"shuffle": False}),
    ('shuffle = "with_replacement"', {"shuffle": "with_replacement"}),
    ("validation = 0.3", {"validation": 0.3}),
    ("patience = 1; min_delta = 1e9; epochs = 9", {"patience": 1, "min_delta": 1e9, "epochs": 9}),
    ("restore_best = true; epochs = 5", {"restore_best": True, "epochs": 5}),
    ("stop_change = 1e9; epochs = 9", {"stop_change": 1e9, "epochs": 9}),
    ("clip_norm = 0.3", {"clip_norm": 0.3}),
    ("clip_value = 0.05", {"clip_value": 0.05}),
    ("clip_value = 0.2; clip_norm = 0.3", {"clip_norm": 0.3, "clip_value": 0.2}),
]


@pytest.mark.parametrize(("text", "options"), SETTINGS, ids=[t for t, _ in SETTINGS])
def test_every_setting_can_be_given_at_run_time(text: str, options: dict[str, object]) -> None:
    """To the bit, and clipping too where the text has none; the next fit is the text's again."""
    optimizer = "optimizer = momentum(lr=0.05)"
    written, _ = trained(f"{optimizer}; {text}")
    plain, _ = trained(optimizer)
    given, _ = trained(optimizer, **options)
    assert given.params.flat.tobytes() == written.params.flat.tobytes()
    assert given.history["objective"] == written.history["objective"]
    assert (given.params.flat != plain.params.flat).any() or "patience" in text
    for model in (given, plain):
        model.params.flat = np.linspace(-1, 1, model.params.flat.size)
        model.optimizer_state.flat = np.zeros(model.optimizer_state.flat.size)
        model.fit(*data(), progress=False, shuffle=False)
    assert given.params.flat.tobytes() == plain.params.flat.tobytes()


def test_clipping_switched_on_stays_with_a_saved_run(tmp_path) -> None:
    model, _ = trained("optimizer = sgd(lr=0.1)")
    parameters = model.params
    model.switch_on(["clip_norm"])
    model.scalars["clip_norm"] = 0.2
    assert model.params is parameters
    model.save(tmp_path / "run")
    again = netc.load(tmp_path / "run")
    for each in (model, again):
        each.fit(*data(), progress=False)
    assert again.scalars["clip_norm"] == 0.2
    assert again.params.flat.tobytes() == model.params.flat.tobytes()
    with pytest.raises(netc.UsageError, match="positive"):
        model.fit(*data(), clip_value=0)


@pytest.mark.parametrize("shuffle", ["true", "false", '"with_replacement"'])
@pytest.mark.parametrize("stops", [(1,), (5,), (3, 7), (6, 8)])
def test_a_run_goes_on_in_the_middle_of_an_epoch(tmp_path, shuffle: str, stops) -> None:
    """Cut short and resumed, over files too: the bits of the run that was never stopped."""
    text = NET.replace("|> dense(4)", "|> dropout(0.3) |> dense(4)") + (
        "train { optimizer = adam(lr=0.02 * 0.9^epoch); batch = 8; epochs = 3; seed = 5; "
        f"validation = 0.2; shuffle = {shuffle} }}"
    )
    whole = netc.compile(source=text)
    whole.fit(*data(), progress=False)
    model = netc.compile(source=text)
    for i, stop in enumerate(stops):
        model.fit(*data(), progress=False, resume=i > 0, epochs=3, max_steps=stop)
        model.save(tmp_path / "run")
        model = netc.load(tmp_path / "run")
    model.fit(*data(), progress=False, resume=True, max_steps=10**6, epochs=3)
    assert model.params.flat.tobytes() == whole.params.flat.tobytes()
    assert model.optimizer_state.flat.tobytes() == whole.optimizer_state.flat.tobytes()
    assert model.history["validation.loss"] == whole.history["validation.loss"]
    np.testing.assert_allclose(model.history["loss"], whole.history["loss"], rtol=1e-6)
    assert [r.steps for r in model.history.epochs] == [r.steps for r in whole.history.epochs]


def test_parameters_are_assigned_by_name() -> None:
    model = netc.compile(source=NET)
    model.params["a.dense.b"] = [1, 2, 3, 4]
    model.params["a.dense.b"] *= 2
    np.testing.assert_array_equal(model.params["a.dense.b"], [2, 4, 6, 8])
    assert model.params["a.dense.b"].dtype == np.float32
    for wrong in ([1, 2, 3], 1.0, np.ones((4, 1)), ["a"] * 4, [1j] * 4):
        with pytest.raises(netc.DataError, match=r"`a.dense.b` has shape \(4,\)"):
            model.params["a.dense.b"] = wrong
    with pytest.raises(KeyError, match=r"a\.dense\.b"):
        model.params["a.dense.B"] = [1, 2, 3, 4]
    np.testing.assert_array_equal(model.params["a.dense.b"], [2, 4, 6, 8])


def test_seeds() -> None:
    """The seed of the text, of `compile`, and one set between two fits."""
    text = f"{NET} train {{ optimizer = sgd(); batch = 8; seed = 3 }}"
    runs = [netc.compile(source=text, seed=seed) for seed in (None, 3, 4, 2**63 - 1)]
    start = [m.params.flat.tobytes() for m in runs]
    assert [start.index(s) for s in start] == [0, 0, 2, 3]
    runs[1].seed = 9
    for model in runs[:2]:
        model.fit(*data(), progress=False)
    assert runs[0].params.flat.tobytes() != runs[1].params.flat.tobytes()
    for wrong in (-1, 2**63, 1.5, True, "1"):
        with pytest.raises(netc.UsageError, match="`seed` must be a whole number"):
            runs[0].seed = wrong


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ("--set clip_norm=0.1 --json", 0, '"steps": 3'),
        ("--set clip_norm=0", 2, "--set clip_norm: expected a positive number, found `0`"),
        ("--set clip_nrm=1", 2, "did you mean `clip_norm`?"),
        ("--set seed=3", 2, "the seed is `--seed N`"),
        ("--set batch=1e30", 2, "`batch` must be a whole number of at least 1"),
        ("--seed 9223372036854775808", 2, "`seed` must be a whole number from 0 to 2^63 - 1"),
    ],
)
def test_numbers_on_the_command_line(tmp_path, capsys, arguments, status, words) -> None:
    x, t = data()
    np.savez(tmp_path / "d.npz", x=x, t=t)
    (tmp_path / "a.net").write_text(f"{NET} train {{ optimizer = sgd(); batch = 8 }}")
    given = ["train", tmp_path / "a.net", "--data", tmp_path / "d.npz", "--out", tmp_path / "r"]
    assert main([*map(str, given), *arguments.split(), "--quiet"]) == status
    assert words in "".join(capsys.readouterr())
    if status == 0:
        assert netc.load(tmp_path / "r").scalars["clip_norm"] == 0.1

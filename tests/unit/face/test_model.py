"""The protocol of a model, on a program whose native functions are Python callbacks."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from netc.compiler.program import InferenceSpec, PortSpec
from netc.model import Model
from netc.runtime.errors import DataError, UsageError


def model_of(program, seed=None):
    return Model(program, defines={}, seed=seed, threads=1)


@pytest.fixture
def model(program):
    return model_of(program)


def expected(model, x, training=False):
    shift = model.state["s"] if training else 0
    return x @ model.params["h.W"] + model.params["h.b"] + shift


# -- inference -----------------------------------------------------------------------------------


def test_forward_is_an_array_and_fresh(model, samples):
    x, _ = samples
    y = model.forward(x)
    np.testing.assert_allclose(y, expected(model, x), rtol=1e-6)
    assert y.dtype == np.float32
    assert model.forward(x) is not y
    np.testing.assert_array_equal(model(x), y)
    np.testing.assert_array_equal(model.forward(x=x), y)
    np.testing.assert_array_equal(model.predict({"x": x}), y)


def test_batches_of_any_size_in_any_layout(model, samples):
    x, _ = samples
    whole = model(x)
    for n in (1, 2, 7, 9, 20):
        np.testing.assert_allclose(model(x[:n].astype(np.float64)), whole[:n], rtol=1e-6)
        np.testing.assert_allclose(model(np.asfortranarray(x[:n])), whole[:n], rtol=1e-6)
    np.testing.assert_allclose(model(x[::2]), whole[::2], rtol=1e-6)


def test_few_samples_go_one_by_one(model, program, samples):
    """Also when arrays must be converted; several at once, and what is refused stays so."""
    x, _ = samples
    for few in (x[:3], x[1:2], x[:3].astype(np.float64), x[:3].tolist(), x[::2][:2]):
        for _ in range(2):
            np.testing.assert_allclose(model(few), expected(model, np.array(few)), rtol=1e-6)
    np.testing.assert_allclose(model(x=x[:3]), expected(model, x[:3]), rtol=1e-6)
    assert set(program.calls) == {"infer_one"}
    bad = x[:2].copy()
    bad[1, 3] = np.nan
    for wrong, message in ((bad, "NaN in sample 1"), (x[0], r"expects an array"), (x[:0], "empty")):
        with pytest.raises(DataError, match=message):
            model(wrong)
    model(x[:4])
    assert program.calls[-1] == "infer"


def test_a_few_more_go_in_groups(program, samples):
    """A group is computed whole, but nothing beyond the rows given is read or written."""
    inference = InferenceSpec(("x",), ("y",), few=2, group=5, several=9)
    program.manifest = replace(program.manifest, inference=inference)
    model, x = model_of(program), samples[0]
    for n in (3, 5, 4, 9, 1, 6, 3):
        for given in (x[:n], x[:n], x[:n].astype(np.float64)):
            found = model(given)
            assert found.shape == (n, 2)
            np.testing.assert_allclose(found, expected(model, x[:n]), rtol=1e-6)
        assert program.calls[-1] == ("infer_one" if n <= 2 else "infer_group")
        np.testing.assert_array_equal(model(x=x[:n]), found)
    model(x[:10])
    assert program.calls[-1] == "infer"
    with pytest.raises(DataError, match="NaN in sample 1"):
        model(np.where(np.arange(4)[:, None] == 1, np.nan, x[:4]).astype(np.float32))


def test_predict_works_in_batches(model, program):
    x = np.ones((2500, 4), np.float32)
    assert model.predict(x).shape == (2500, 2)
    assert program.calls == ["infer"] * 3


def test_several_outputs_are_a_dict(program, samples):
    inference = InferenceSpec(("x",), ("y", "gap"), few=3)
    program.manifest = replace(program.manifest, inference=inference)
    model = model_of(program)
    for x in (samples[0], samples[0][:1]):
        assert set(model.forward(x)) == {"y", "gap"}
        assert set(model.forward(x)) == {"y", "gap"}


def test_evaluate_weighs_by_samples(model, samples):
    x, t = samples
    whole = model.evaluate(x, t)
    parts = model.evaluate((x, t), batch=7)
    gap = t - expected(model, x)
    assert set(whole) == {"loss", "error", "gap"}
    assert whole["loss"] == pytest.approx((gap**2).sum(1).mean(), rel=1e-5)
    assert parts["loss"] == pytest.approx(whole["loss"], rel=1e-5)
    np.testing.assert_allclose(parts["gap"], gap, rtol=1e-4, atol=1e-5)


# -- training ------------------------------------------------------------------------------------


def test_backward_sees_the_states_that_forward_saw(model, samples):
    x, t = samples
    model.state["s"][...] = 3 / 64
    y = model.forward(x, training=True)
    assert model.state["s"] == 4 / 64
    gap = 2 * (y - t) / len(x)
    objective = model.backward(t)
    assert objective == pytest.approx(((y - t) ** 2).sum(1).mean() + 1, rel=1e-5)
    np.testing.assert_allclose(model.grads["h.W"], x.T @ gap, rtol=1e-4, atol=1e-5)
    again = model.backward(t)  # overwritten, never accumulated
    assert again == objective
    np.testing.assert_allclose(model.grads["h.b"], gap.sum(0), rtol=1e-4, atol=1e-5)


def test_forward_backward_update_equals_step(fake_program, samples):
    x, t = samples
    one, two = model_of(fake_program()), model_of(fake_program())
    for _ in range(3):
        one.forward(x, training=True)
        first = one.backward(t)
        one.update()
        assert two.step(x, t) == pytest.approx(first, rel=1e-6)
    np.testing.assert_allclose(one.params.flat, two.params.flat, rtol=1e-6)
    np.testing.assert_array_equal(one.optimizer_state.flat, two.optimizer_state.flat)
    assert one.state["s"] == two.state["s"]
    assert one._executable.counters.step == two._executable.counters.step == 4


def test_every_way_to_pass_a_batch_is_the_same_step(fake_program, samples):
    x, t = samples
    ways = (
        lambda m: m.step(x, t),
        lambda m: m.step(x, t=t),
        lambda m: m.step((x, t)),
        lambda m: m.step({"t": t, "x": x}),
        lambda m: m.step(x.tolist(), t.astype(np.float64)),
    )
    found = []
    for way in ways:
        model = model_of(fake_program())
        found.append((way(model), way(model), model.params.flat.tobytes()))
    assert found == [found[0]] * len(ways)


@pytest.mark.parametrize("kind", ["real", "class"])
def test_steps_of_small_and_large_batches_by_turns(fake_program, kind):
    """Small ones are copied to fixed places: their second step must not see the first's data."""
    target = PortSpec("t", (), "class", 3) if kind == "class" else PortSpec("t", (2,))
    short, long = (model_of(fake_program(target=target)) for _ in range(2))
    draws = np.random.default_rng(3)
    for rows in (3, 700, 3, 3, 1, 700, 5, 3):
        x = draws.normal(size=(rows, 4)).astype(np.float32)
        t = draws.integers(0, 3, rows) if kind == "class" else x[:, :2].copy()
        assert short.step(x, t) == long.step(x=x.tolist(), t=t.tolist())
    np.testing.assert_array_equal(short.params.flat, long.params.flat)
    wrong = x.copy()
    wrong[1, 2] = np.nan
    for given in ((wrong, t), (x, t[:2]), (x, t + 9) if kind == "class" else (x, t * np.nan)):
        with pytest.raises(DataError):
            short.step(*given)
    assert short._executable.counters.step == 9
    assert short.step(np.asfortranarray(x), t[::-1]) == long.step(x=x, t=t[::-1].tolist())
    assert short.step(x.astype(np.float64), t) == long.step(x=x, t=t)


def test_a_refused_step_changes_nothing(model, samples):
    x, t = samples
    model.step(x, t)
    before = model.params.flat.copy()
    for data in ((), (x,), (x, t, t), (x, t[1:]), (x[:, 1:], t), (x, t * np.nan), (x, None)):
        with pytest.raises(DataError):
            model.step(*data)
    with pytest.raises(DataError, match=f"`t` has {len(t) - 1} samples, `x` has {len(x)}"):
        model.step(x, t[1:])
    np.testing.assert_array_equal(model.params.flat, before)
    assert model._executable.counters.step == 2


def test_the_remembered_batch_is_a_copy(model, samples):
    x, t = samples
    x = x.copy()
    model.forward(x, training=True)
    first = model.backward(t)
    x += 1
    assert model.backward(t) == first


def test_gradients_are_there_after_backward_only(model, samples):
    x, t = samples
    with pytest.raises(UsageError, match="no gradients"):
        _ = model.grads
    model.forward(x, training=True)
    model.backward(t)
    gradients = model.grads
    assert gradients["h.W"].shape == (4, 2)
    model.update()
    assert model.grads["h.W"].shape == (4, 2)
    model.step(x, t)
    with pytest.raises(UsageError, match="`step` and `fit` keep none"):
        _ = model.grads
    with pytest.raises(UsageError):
        gradients["h.W"]
    with pytest.raises(UsageError):
        model.update()


@pytest.mark.parametrize("between", ["none", "update", "step", "fit"])
def test_backward_needs_a_training_forward(model, samples, between):
    x, t = samples
    if between != "none":
        model.forward(x, training=True)
        model.backward(t)
        {"update": model.update, "step": lambda: model.step(x, t), "fit": lambda: fit(model, x, t)}[
            between
        ]()
    with pytest.raises(UsageError, match="training=True"):
        model.backward(t)


def fit(model, x, t, **options):
    return model.fit(x, t, progress=False, **options)


def test_writes_to_parameters_count_from_the_next_call(model, samples):
    x, _ = samples
    model.params["h.W"][...] = 0
    model.params["h.b"][...] = [1, 2]
    np.testing.assert_array_equal(model(x), np.tile([1, 2], (20, 1)))
    model.params.flat = np.arange(10)
    np.testing.assert_array_equal(model.params["h.b"], [8, 9])


def test_fit_learns_and_reports(model, samples):
    history = fit(model, *samples, epochs=40, batch=5)
    assert history["loss"][-1] < 0.05 * history["loss"][0]
    assert model.history is history
    assert model.evaluate(*samples)["loss"] < 0.1


@pytest.mark.parametrize(
    ("validation", "held"), [(0.25, 5), (0, 0), (("x", "t"), 20), ({"x": 0, "t": 1}, 20)]
)
def test_ways_to_give_validation(model, samples, program, validation, held):
    if isinstance(validation, tuple):
        validation = samples
    if isinstance(validation, dict):
        validation = {"x": samples[0], "t": samples[1]}
    seen = []
    original = program._evaluate
    program._evaluate = lambda c: (seen.append(len(c.x)), original(c))
    history = fit(model, *samples, validation=validation, epochs=1)
    assert seen == ([held] if held else [])
    assert history.epochs[0].steps == (2 if held == 5 else 3)


def test_run_time_numbers_for_one_fit(model, samples):
    before = model.params.flat.copy()
    fit(model, *samples, lr=0.0)
    np.testing.assert_array_equal(model.params.flat, before)
    assert model.scalars["lr"] == 0.05
    model.scalars["lr"] = 0
    fit(model, *samples)
    np.testing.assert_array_equal(model.params.flat, before)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lrr": 0.1}, "did you mean `lr`"),
        ({"epoch": 3}, "did you mean `epochs`"),
        ({"lr": "fast"}, "`lr` must be a number"),
        ({"lr": True}, "`lr` must be a number"),
        ({"batch": 0}, "`batch` must be"),
        ({"monitor": "f1"}, "`monitor` names no result"),
    ],
)
def test_wrong_options_of_fit(model, samples, options, words):
    with pytest.raises(UsageError, match=words):
        fit(model, *samples, **options)


def test_unknown_run_time_numbers(model):
    with pytest.raises(UsageError, match="did you mean `lr`"):
        model.scalars["lrr"] = 1


@pytest.mark.parametrize("function", ["step", "fit", "evaluate"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x, t: (x, t[:-1]), "`t` has 19 samples"),
        (lambda x, t: (x[:0], t[:0]), "empty"),
        (lambda x, t: (x,), "missing `t`"),
        (lambda x, t: (x, np.full_like(t, np.nan)), "target `t` has a NaN"),
        (lambda x, t: (x.astype(object), t), "objects"),
        (lambda x, t: (x.astype(complex), t), "complex"),
        (lambda x, t: (x.T, t), r"\(4, 20\)"),
        (lambda x, t: (x, t, t), "found 3"),
    ],
)
def test_bad_arrays_change_nothing(model, samples, function, change, words):
    before = model.params.flat
    with pytest.raises(DataError, match=words):
        getattr(model, function)(*change(*samples))
    np.testing.assert_array_equal(model.params.flat, before)
    assert model._executable.counters.step == 1


def test_a_refused_fit_keeps_the_gradients(model, samples):
    x, t = samples
    model.forward(x, training=True)
    model.backward(t)
    with pytest.raises(DataError):
        model.fit(x)
    assert model.grads["h.W"].any()


def test_targets_must_match_the_remembered_batch(model, samples):
    x, t = samples
    model.forward(x, training=True)
    with pytest.raises(DataError, match=r"19 samples.* had 20"):
        model.backward(t[:-1])
    with pytest.raises(DataError, match="missing `t`"):
        model.backward()


# -- nets that lack something ----------------------------------------------------------------------


def test_nets_without_loss(fake_program, samples):
    model = model_of(fake_program(functions=("infer", "forward")))
    model.forward(samples[0], training=True)
    for call in (model.backward, model.update, model.step, model.fit, model.evaluate):
        with pytest.raises(UsageError, match="no loss"):
            call()


def test_nets_without_optimizer(fake_program, samples):
    model = model_of(fake_program(functions=("infer", "evaluate", "forward", "backward")))
    model.forward(samples[0], training=True)
    model.backward(samples[1])
    for call in (model.update, model.step, model.fit):
        with pytest.raises(UsageError, match=r"optimizer = sgd"):
            call()


# -- saving ----------------------------------------------------------------------------------------


def test_a_saved_run_goes_on_as_if_never_stopped(fake_program, samples, tmp_path):
    straight = model_of(fake_program())
    fit(straight, *samples, epochs=4)
    first = model_of(fake_program())
    fit(first, *samples, epochs=2)
    first.scalars["lr"] = 0.05
    first.save(tmp_path / "run")
    second = model_of(fake_program(), seed=77)
    second.load(tmp_path / "run")
    assert second.seed == 0
    history = fit(second, *samples, epochs=4, resume=True)
    np.testing.assert_array_equal(second.params.flat, straight.params.flat)
    assert [r.steps for r in history.epochs] == [r.steps for r in straight.history.epochs]


def test_load_restores_run_time_numbers_and_options(fake_program, samples, tmp_path):
    model = model_of(fake_program())
    model.scalars["lr"] = 0.25
    fit(model, *samples, epochs=3, batch=20)
    model.save(tmp_path / "run")
    other = model_of(fake_program())
    other.load(tmp_path / "run")
    assert other.scalars["lr"] == 0.25
    assert len(fit(other, *samples, resume=True)) == 3  # the run's own three epochs are done


def test_load_of_another_precision(fake_program, tmp_path):
    model = model_of(fake_program())
    model.save(tmp_path / "run")
    double = model_of(fake_program(precision="f64"), seed=5)
    double.load(tmp_path / "run")
    np.testing.assert_array_equal(double.params.flat, model.params.flat)
    assert double.params["h.W"].dtype == np.float64


# -- several threads -------------------------------------------------------------------------------


def test_calls_from_several_threads_do_not_mix(model):
    def work(value):
        x = np.full((5, 4), value, np.float32)
        return all(np.array_equal(model(x), expected(model, x)) for _ in range(50))

    with ThreadPoolExecutor(4) as workers:
        assert all(workers.map(work, range(4)))


def test_repr_and_names(model):
    assert repr(model) == "<netc.Model Affine(x: [4])>"
    assert model.output_names == ("y",)
    with pytest.raises(UsageError, match="did you mean `step`"):
        model.ir("graph", "steps")
    with pytest.raises(UsageError, match="did you mean `fused`"):
        model.ir("fusd")

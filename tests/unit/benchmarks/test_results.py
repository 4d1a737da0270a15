"""What the benchmarks print: ratios, targets, places in a page, and numbers read back."""

import json

import pytest

from benchmarks import report, tables
from benchmarks.measure import Timing
from benchmarks.nets import NETS
from benchmarks.results import Results
from benchmarks.running import DisagreementError, NetResult, agree
from tests.documents import ROOT


def timing(seconds):
    return Timing(seconds, seconds, 0.02, 9, seconds)


def result(net="lenet", batch=128, threads=1, **step):
    kinds = {"netc": 2e-3, "netc fit": 1e-3, "torch": 8e-3, "jax": 6e-3, **step}
    times = {name: timing(seconds) for name, seconds in kinds.items()}
    infer = {name: timing(kinds[name]) for name in ("netc", "torch", "jax")}
    return NetResult(net, batch, threads, 2 * 10**8, times, infer, infer)


@pytest.fixture
def results():
    sweep = [result(batch=1), result(batch=2, jax=1.9e-3), result(batch=4, jax=1.99e-3)]
    return Results({"cores": "2"}, {"1": 2e11}, nets=[result()], sweep=sweep)


def test_ratio_is_to_the_fastest_peer():
    one = result()
    assert tables.ratio(one.step) == 3
    assert tables.ratio(one.step, "netc fit") == 6
    assert tables.ratio({"netc": timing(1)}) is None


def test_training_table(results):
    (row, mean) = tables.training(results.nets, 1, 2e11).rows
    assert row == ["lenet", "128", "1,000", "2,000 ±1%", "1,000 ±1%", "100%", "8,000", "6,000",
                   "3.00", "6.00", "6 ✓"]  # fmt: skip
    assert mean[0] == "geometric mean"
    assert mean[-1] == ""  # the target is one of all nets
    (missed, _) = tables.training([result(jax=5e-3)], 1, 2e11).rows
    assert missed[-1] == "6"


def test_slower_points_are_beyond_noise(results):
    rows = tables.slower(results.sweep, 1).rows
    assert [row[:4] for row in rows] == [
        ["lenet", "step", "2", "jax"],
        ["lenet", "infer", "2", "jax"],
    ]


def test_numbers_come_back(results):
    again = Results.read(json.loads(json.dumps(results.data())))
    titles = [(t.key, t.markdown()) for t in tables.tables(again)]
    assert titles == [(t.key, t.markdown()) for t in tables.tables(results)]
    assert [key for key, _ in titles] == [
        "training-1",
        "inference-one-1",
        "inference-batch-1",
        "sweep-1",
        "slower-1",
    ]


def test_page_keeps_its_text():
    page = "a\n\n<!-- t -->\n<!-- end -->\n\nb\n\n<!-- u -->\n\n| x |\n\n<!-- end -->\nc\n"
    once = report.updated(page, {"t": "| 1 |", "other": "| 2 |"})
    assert once == page.replace("<!-- t -->\n", "<!-- t -->\n\n| 1 |\n\n", 1)
    assert report.updated(once, {"t": "| 1 |"}) == once
    assert "| 3 |" in report.updated(once, {"u": "| 3 |"})
    assert "| x |" not in report.updated(once, {"u": "| 3 |"})


def test_page_has_a_place_for_every_table(results):
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    for key in [t.key for t in tables.tables(results)] + ["machine", "mnist", "memory"]:
        assert f"<!-- {key} -->" in page


def test_disagreement_stops():
    agree("losses", [1.0, 2.0], [1.0, 2.0 + 1e-9], 1e-8)
    with pytest.raises(DisagreementError, match="off by"):
        agree("losses", [1.0, 2.0], [1.0, 2.1], 1e-3)
    with pytest.raises(DisagreementError):
        agree("losses", [float("nan")], [1.0], 1e-3)


def test_useful_operations_of_the_nets():
    found = {}
    for name in ("mlp_m", "lenet", "vgg_bn"):
        net = NETS[name]
        model = net.compile()
        pieces = net.pieces(model.params.values(), model.state.values())
        (port,) = model.manifest.inputs
        found[name] = net.flops(pieces, port.shape, net.batch)
    assert found == {"mlp_m": 128909312, "lenet": 289781760, "vgg_bn": 4844912640}

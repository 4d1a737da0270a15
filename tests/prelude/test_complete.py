"""Every definition of the prelude has a doc comment and a reference, and every reference a name."""

from __future__ import annotations

import re

import pytest

from netc.compiler.elaborate.program import elaborate
from netc.grammar.parser import parse
from netc.grammar.source import Source
from tests.prelude.harness import PRELUDE, definitions
from tests.prelude.reference import TABLES
from tests.prelude.special_cases import mentions

KINDS = {
    **{room: {"fn"} for room in ("activations", "losses", "penalties", "schedules")},
    "initialisers": {"init"},
    "optimizers": {"optimizer"},
}
ROOMS = sorted(p.stem for p in PRELUDE.glob("*.net"))
ALL = [(room, d.name.name, d) for room in ROOMS for d in definitions(room)]


def test_every_file_has_a_table() -> None:
    assert sorted(TABLES) == ROOMS


@pytest.mark.parametrize("room", ROOMS)
def test_references_and_definitions_agree(room: str) -> None:
    defined = [d.name.name for d in definitions(room)]
    assert sorted(defined) == sorted(TABLES[room])


def test_no_name_is_defined_twice() -> None:
    names = [name for _, name, _ in ALL]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(("room", "name", "definition"), ALL, ids=[n for _, n, _ in ALL])
def test_doc_comment_and_kind(room: str, name: str, definition) -> None:
    assert definition.kind in KINDS.get(room, {"fn", "layer"})
    assert definition.doc, f"{name} has no doc comment"
    first, source = definition.doc.strip().splitlines()[0], definition.doc.strip().splitlines()[-1]
    assert re.match(r"[A-Z].{20,}", first), first
    assert source.startswith("Source: "), source


def test_the_compiler_names_no_definition() -> None:
    assert mentions() == []


def test_lines_fit_the_page() -> None:
    long = [
        f"{path.name}:{number}"
        for path in PRELUDE.glob("*.net")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if len(line) > 100
    ]
    assert long == []


@pytest.mark.parametrize("precision", ["f32", "f64"])
def test_the_whole_prelude_elaborates_in_one_net(precision: str) -> None:
    text = """
    net Everything {
      input x: [4]
      target t: class[4]
      h = x |> dense(4, act=elu(alpha=0.5)) |> layer_norm |> residual(dense(4) |> prelu)
      z = h |> rrelu |> dropout(0.1) |> gaussian_noise(0.1) |> dense_last(4)
      loss cross_entropy(z, t)
      penalty 1e-4 * elastic_net(weights) + 1e-6 * cauchy(params)
      output p = softmax(z)
    }
    train { optimizer = nadam(lr = 1e-3 * warmup(10) * exponential_decay(0.9)) }
    """
    result = elaborate(parse(Source("all.net", text)), precision=precision, defines={})
    assert result.training.loss is not None
    assert len(result.updates) == len(result.parameters) > 8

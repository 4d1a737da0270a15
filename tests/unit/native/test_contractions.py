"""Contractions of all tile forms and awkward sizes equal `numpy.einsum`, on every target."""

from __future__ import annotations

import random
from math import prod

import numpy as np
import pytest

from netc.compiler.ir.graph import Graph, Output, make
from netc.compiler.ir.op import Environment
from netc.compiler.ops.contract import Contract
from netc.compiler.ops.source import source
from netc.compiler.plan.tiles import FEW_RESULTS, choose_tile
from tests.native import DTYPE, TARGETS, Native

SIZES = (1, 2, 3, 5, 7, 8, 15, 16, 17, 31, 33, 64, 65, 100, 130)
BATCHES = (1, 3, 16, 37)
TOLERANCE = {"f32": 2e-6, "f64": 1e-12}
FORMS = {
    # form and specification: which operands are batched, elements at most
    ("samples", "k,kn->n"): ((True, False), 20_000),
    ("samples", "nk,k->n"): ((False, True), 20_000),
    ("samples", "bk,kn->nb"): ((True, False), 3_000),
    ("pairs", "ak,kb->ab"): ((True, True), 3_000),
    ("pairs", "k,k->"): ((True, True), 1_000),
    ("pairs", "a,b->ba"): ((True, True), 2_000),
    ("outer", "a,b->ab"): ((True, True), 20_000),
    ("outer", "ka,kb->ab"): ((True, True), 3_000),
    ("outer", "ka,bk->ba"): ((True, True), 3_000),
    ("columns", "ak,kb->ab"): ((False, False), 200_000),
    ("columns", "ka,kb->ab"): ((False, False), 200_000),
    ("loops", "ak,bk->ab"): ((False, False), 20_000),
    ("loops", "k,k->"): ((True, True), 200),
}


def sizes(spec: str, most: int) -> list[dict[str, int]]:
    """Some sizes for the letters, the same in every run: each size of the list at least once."""
    draw = random.Random(spec)
    letters = sorted(set(spec) & set("abkn"))
    found = []
    for size in SIZES:
        chosen = {c: draw.choice(SIZES) for c in letters} | {draw.choice(letters): size}
        while prod(chosen.values()) > most:
            largest = max(letters, key=lambda c: (1 < chosen[c] != size, chosen[c]))
            chosen[largest] = draw.choice([s for s in SIZES if s < chosen[largest]] or [1])
        found.append(chosen)
    return found


def operands(spec: str, chosen: dict[str, int], batched, precision):
    parts = spec.split("->", maxsplit=1)[0].split(",")
    for i, (letters, b) in enumerate(zip(parts, batched, strict=True)):
        shape = tuple(chosen[c] for c in letters)
        yield source("input" if b else "parameter", f"a{i}", shape, b, precision)


@pytest.mark.parametrize("precision", ["f32", "f64"])
@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize(("form", "spec"), FORMS, ids=lambda v: v)
def test_contraction_equals_einsum(form, spec, name, precision):
    batched, most = FORMS[form, spec]
    sum_batch = form == "outer" or (form, spec) == ("loops", "k,k->")
    start = TARGETS.index(name) + 2 * (precision == "f32")
    for chosen in sizes(spec, most)[start % 5 :: 5]:
        args = list(operands(spec, chosen, batched, precision))
        node = make(Contract(spec, sum_batch=sum_batch), *args)
        space = "output" if node.type.batched else "parameter"
        native = Native(Graph("step", (Output(space, "y", node),)), name)
        few = form == "outer" and node.type.size <= FEW_RESULTS * native.manifest.lanes
        assert choose_tile(node, native.manifest.lanes).form == ("loops" if few else form)
        for batch in BATCHES:
            check(node, args, native, (space, "y"), batch)


def check(node, args, native, key, batch) -> None:
    rng = np.random.default_rng(batch)
    values = {}
    for arg in args:
        shape = (batch,) * arg.type.batched + arg.type.shape
        drawn = rng.uniform(-1, 1, shape).astype(DTYPE[arg.type.precision])
        values[arg.op.space, arg.op.name] = drawn
    parts = [("Z" if a.type.batched else "") + p
             for a, p in zip([*args, node], node.op.letters, strict=True)]  # fmt: skip
    exact = [values[a.op.space, a.op.name].astype(np.float64) for a in args]
    expected = np.einsum(f"{parts[0]},{parts[1]}->{parts[2]}", *exact)
    bound = np.einsum(f"{parts[0]},{parts[1]}->{parts[2]}", *map(np.abs, exact))
    found = native(Environment(values, batch))[key]
    assert np.all(np.abs(found - expected) <= TOLERANCE[node.type.precision] * bound)

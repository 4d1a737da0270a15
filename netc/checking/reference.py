"""What a model should compute: its graphs, interpreted in NumPy on what the model has now.

Invariant: constants, stored values and random draws are those of the model's own precision; only
the arithmetic may be finer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netc.compiler.ir.interpret import evaluate
from netc.compiler.ir.op import Environment
from netc.compiler.over_data import in_precision
from netc.compiling import program_of
from netc.model import Model
from netc.probing import follow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netc.compiler.ir.graph import Node, Space
    from netc.compiler.ir.op import Array
    from netc.runtime.arguments import Batch


def in_double(model: Model) -> Model:
    """The same net in f64 with the values, numbers, seed and counters that the model has now."""
    r = model._program.request
    program = program_of(r.source, r.defines, "f64", r.library)
    found = Model(program, defines=r.defines, seed=model.seed, threads=model.threads)
    found.optimizer_state.flat = model.optimizer_state.flat
    follow(found, model)
    return found


def environment(model: Model, batch: Batch) -> Environment:
    """Everything that the graphs of a model read: data, stored values, numbers and counters."""
    values: dict[tuple[Space, str], Array] = {("input", n): a for n, a in batch.arrays.items()}
    values |= {("parameter", n): np.array(v) for n, v in model.params.items()}
    values |= {("state", n): np.array(v) for n, v in model.state.items()}
    values |= {("optimizer", n): np.array(v) for n, v in model.optimizer_state.items()}
    values |= {("scalar", n): np.asarray(v) for n, v in model.scalars.items()}
    counters = model._executable.counters
    for name in ("epoch", "steps", "epochs"):
        values["scalar", name] = np.asarray(getattr(counters, name))
    return Environment(values, batch.samples, model.seed, counters.step)


def copied(model: Model) -> Model:
    """Another model of the same program with all values that the model has now."""
    program = model._program
    found = Model(program, defines=program.request.defines, seed=model.seed, threads=model.threads)
    found.optimizer_state.flat = model.optimizer_state.flat
    follow(found, model)
    return found


def meaning(roots: Sequence[Node], env: Environment) -> list[Array]:
    """The values of graphs in double precision, whatever theirs is."""
    return evaluate(in_precision(roots, "f64"), env)


def rounded(roots: Sequence[Node], env: Environment) -> list[Array]:
    """The values of graphs in single precision: how far they stray tells what rounding may do."""
    return evaluate(in_precision(roots, "f32"), env)

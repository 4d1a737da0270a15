"""Running a graph by itself: its text and the arrays that it reads in, the arrays it writes out.

Invariant: the text is checked before anything is compiled, and every array before anything runs.
An array is named as in the graph; where two spaces have that name, as `space:name`.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np

from netc.runtime.arrays import address, element_type
from netc.runtime.errors import DataError, listing
from netc.runtime.executable import Executable
from netc.runtime.threads import cores
from netc.settings import checked_seed, checked_threads

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from netc.compiler.ir.graph import Graph, Space
    from netc.compiler.ir.types import TensorType
    from netc.compiler.ops.reader import TextError
    from netc.compiler.program import Block, Manifest
    from netc.compiler.standalone import Place, Standalone
    from netc.runtime.arrays import Array

Arrays: TypeAlias = "dict[Place, Array]"
Way = Literal["passes", "as written", "interpreter"]

COUNTERS: Final = ("step", "epoch", "steps", "epochs")


def run_graph(
    text: str,
    data: Mapping[str, Any],
    *,
    name: str = "<graph>",
    way: Way = "passes",
    seed: int = 0,
    threads: int | None = None,
) -> dict[str, Array]:
    """What a graph returns for `data`: the arrays that it reads, by name.

    `text` is a graph as `netc ir` prints it, `name` what reports call it. `way` is native code
    after the passes or with the graph as it is written, or the interpreter in NumPy. Inputs have a
    leading axis of samples. Raises DataError, with the place for a text that is no valid graph.
    """
    from netc.compiler.backend.target import host_target  # noqa: PLC0415 - a while to load
    from netc.compiler.standalone import check, sources, standalone  # noqa: PLC0415

    graph = _graph(text, name)
    try:
        check(graph)
    except ValueError as error:
        raise DataError(f"{name}: {error}") from None
    reads = sources(graph)
    kind = element_type(graph.nodes()[0].type.precision)
    values = _values(reads, data, kind)
    batch = _batch(reads, values)
    count = cores() if threads is None else checked_threads(threads)
    if way == "interpreter":
        found = _interpreted(graph, values, batch, checked_seed(seed))
    else:
        program = standalone(graph, host_target(), as_written=way == "as written")
        found = _native(program, values, batch, checked_seed(seed), count)
    return {_key(place, found): value for place, value in found.items()}


def _graph(text: str, name: str) -> Graph:
    from netc.compiler.ops.reader import TextError, verified  # noqa: PLC0415

    try:
        return verified(text)
    except TextError as error:
        raise DataError(_report(error, text, name)) from None


def _report(error: TextError, text: str, name: str) -> str:
    """A mistake with its line, and marks below the columns at fault."""
    lines = text.splitlines() or [""]
    line = lines[error.line - 1].replace("\t", " ")
    margin = len(str(error.line))
    marks = " " * (error.first - 1) + "^" * max(error.last - error.first + 1, 1)
    return (
        f"{error.message}\n{' ' * margin}--> {name}:{error.line}:{error.first}\n"
        f"{' ' * margin} |\n{error.line} | {line}\n{' ' * margin} | {marks}"
    )


# -- values in and out -----------------------------------------------------------------------------


def _key(place: Place, among: Iterable[Place]) -> str:
    """The name of an array: that of the value, with its space where another has the name too."""
    space, name = place
    return name if Counter(n for _, n in among)[name] == 1 else f"{space}:{name}"


def _values(
    reads: Mapping[Place, TensorType], data: Mapping[str, Any], kind: np.dtype[Any]
) -> Arrays:
    """What the graph reads, in its precision; counters may be left out."""
    found: Arrays = {}
    missing: list[str] = []
    for place, wanted in reads.items():
        full, short = ":".join(place), _key(place, reads)
        key = full if full in data else short
        if key in data:
            found[place] = _array(data[key], wanted, key, kind)
        elif place[0] != "scalar" or place[1] not in (*COUNTERS, "batch_size"):
            missing.append(f"{place[0]} `{short}` {wanted}")
    if missing:
        message = f"the data lack {', '.join(missing[:8])}"
        more = f" and {len(missing) - 8} more" if len(missing) > 8 else ""
        raise DataError(message + more, f"they have {listing(data)}" if data else "")
    return found


def _array(value: object, wanted: TensorType, key: str, kind: np.dtype[Any]) -> Array:
    try:
        array: Array = np.array(value, kind, order="C")
    except (TypeError, ValueError):
        raise DataError(f"`{key}` takes numbers, found {np.asarray(value).dtype}") from None
    rows = array.shape[:1] if wanted.batched else ()
    if array.shape != (*rows, *wanted.shape) or (wanted.batched and not array.shape[:1]):
        raise DataError(f"`{key}` has shape {array.shape}, the graph reads {wanted}")
    if wanted.batched and array.shape[0] == 0:
        raise DataError(f"`{key}` has no sample")
    return array


def _batch(reads: Mapping[Place, TensorType], values: Arrays) -> int:
    """How many samples there are: as many in each input."""
    rows = {p[1]: values[p].shape[0] for p, kind in reads.items() if kind.batched}
    if len(set(rows.values())) > 1:
        counts = ", ".join(f"`{name}` {count}" for name, count in rows.items())
        raise DataError(f"the inputs differ in their samples: {counts}")
    return next(iter(rows.values()), 1)


# -- running ---------------------------------------------------------------------------------------


def _interpreted(graph: Graph, values: Arrays, batch: int, seed: int) -> Arrays:
    from netc.compiler.ir.interpret import interpret  # noqa: PLC0415
    from netc.compiler.ir.op import Environment  # noqa: PLC0415

    step = int(values.get(("scalar", "step"), 1))
    given: Arrays = {("scalar", name): np.array(1.0) for name in COUNTERS}
    given |= values
    return interpret(graph, Environment(given, batch, seed, step))


def _native(program: Standalone, values: Arrays, batch: int, seed: int, threads: int) -> Arrays:
    """One call of the native function."""
    manifest = program.manifest
    executable = _executable(program, values, seed, threads)
    dtype = executable.dtype
    outputs = {p.name: np.empty((batch, *p.shape), dtype) for p in manifest.outputs}
    slots = [address(values["input", p.name]) for p in manifest.inputs]
    slots += [address(outputs[p.name]) for p in manifest.outputs]
    results = executable.run(program.name, batch, slots)
    kept: dict[str, Mapping[str, Any]] = {
        "parameter": executable.parameters,
        "state": executable.states,
        "optimizer": executable.optimizer,
        "gradient": executable.gradients,
        "output": outputs,
        "result": dict(zip(manifest.results, np.array(results, dtype), strict=True)),
    }
    found: Arrays = {}
    for o in program.graph.outputs:
        rows = (batch,) if o.node.type.batched else ()
        found[o.space, o.name] = np.array(kept[o.space][o.name]).reshape(rows + o.node.type.shape)
    return found


def _executable(program: Standalone, values: Arrays, seed: int, threads: int) -> Executable:
    """The program with the values that it reads; what it only writes starts at 0."""
    from netc.compiler.driver import team_code  # noqa: PLC0415

    blocks = _blocks(program.manifest)
    stored: Arrays = {
        (space, spec.name): values.get((space, spec.name), np.zeros(spec.shape))
        for space, block in blocks
        for spec in block.values
    }
    executable = Executable(
        program.manifest, program.native, stored, seed, threads=threads, team=team_code
    )
    executable.gradients.assign({n: v for (space, n), v in stored.items() if space == "gradient"})
    executable.remember(float(values.get(("scalar", "objective"), np.array(np.nan))))
    for (space, name), value in values.items():
        if space == "scalar" and name in executable.scalars:
            executable.scalars[name] = float(value)
        elif space == "scalar" and name in COUNTERS:
            setattr(executable.counters, name, int(value))
    return executable


def _blocks(manifest: Manifest) -> tuple[tuple[Space, Block], ...]:
    return (
        ("parameter", manifest.parameters),
        ("state", manifest.states),
        ("optimizer", manifest.optimizer),
        ("gradient", manifest.gradients),
    )

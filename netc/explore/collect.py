"""Everything that the page shows, as plain data: the texts, then each function by itself.

Invariant: a function is complete in itself, so a page may hold any choice of them and unpack one at
a time. A set of lines or kernels is a place in the pools `lines` and `kernel_sets`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.explore.lines import lines_of
from netc.explore.schedule import kernel_data, memory_data, schedule
from netc.explore.texts import Pool, Texts
from netc.profile import profile

if TYPE_CHECKING:
    from netc.compiler.driver import Program
    from netc.compiler.program import FunctionName
    from netc.explore.schedule import Schedule

Data = dict[str, object]


def program_data(program: Program, samples: int) -> Data:
    """The net, its texts and the names inside it."""
    lines = lines_of(program.model)
    seen = (*program.model.training.seen, *program.model.inference.seen)
    names: dict[int, list[str]] = {}
    for value in seen:
        at = lines.of(value.span)
        if at is not None and value.name not in names.setdefault(at, []):
            names[at].append(value.name)
    return {
        "net": program.manifest.name,
        "precision": program.manifest.precision,
        "samples": samples,
        "texts": [
            {"name": text.name, "first": lines.first[text.name], "lines": text.text.split("\n")}
            for text in lines.texts
        ],
        "names": names,
    }


def function_data(
    program: Program, function: FunctionName, samples: int, seconds: float | None = None
) -> Data:
    """One function: kernels, memory and texts, with times when it may run for so many seconds."""
    lines = lines_of(program.model)
    found = schedule(program, function, samples, lines)
    pools = Pool(), Pool()
    memory, numbers = memory_data(found, pools[0])
    kernels = kernel_data(found, pools[0], numbers)
    texts = Texts(program, function, found.known, found.kernels, pools).all()
    times = None if seconds is None else _times(found, seconds)
    return {
        "name": function,
        "lanes": found.stages.plan.lanes,
        "target": program.target.cpu,
        "kernels": kernels,
        "phases": _phases(found),
        "memory": memory,
        "texts": texts,
        "times": times,
        "lines": pools[0].sets(),
        "kernel_sets": pools[1].sets(),
    }


def _phases(found: Schedule) -> list[Data]:
    """Who does which kernels: the number of the first one, and how many there are."""
    rows: list[Data] = []
    first = 0
    for phase in found.stages.plan.phases:
        rows.append(
            {
                "first": first,
                "count": len(phase.units),
                "kind": phase.kind,
                "barrier": phase.barrier,
                "chunk": phase.chunk,
            }
        )
        first += len(phase.units)
    return rows


def _times(found: Schedule, seconds: float) -> Data:
    """Measured seconds of each kernel in one run, of one thread."""
    measured = profile(found.program, found.function, found.samples, seconds=seconds)
    return {
        "seconds": measured.seconds,
        "rest": measured.rest,
        "runs": measured.runs,
        "peak": measured.peak,
        "bandwidth": measured.bandwidth,
        "kernels": [
            {"seconds": k.seconds, "calls": k.calls, "roofline": measured.roofline(k)}
            for k in measured.kernels
        ],
    }

"""The report of a call that made a NaN or an infinity: what a person reads, and plain data.

Invariant: every fact of the message is in the data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netc.grammar.diagnostics import excerpt
from netc.runtime.errors import count, listing
from netc.runtime.watched import TRAINING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from netc.compiler.blame import Blame, Operand
    from netc.compiler.elaborate.model import Index
    from netc.compiler.provenance import Origin
    from netc.runtime.arrays import Array
    from netc.runtime.watched import Bad, Call


def report(call: Call, bad: Bad, found: Blame | None) -> tuple[str, str, dict[str, object]]:
    """Message, help and facts of a call whose results are not finite."""
    when = f"step {call.counters.step}" if call.function in TRAINING else f"`{call.function}`"
    results = _listed(bad)
    facts: dict[str, object] = {
        "function": call.function,
        "step": call.counters.step,
        "results": [f"{space} {name}" for space, name in bad],
    }
    if found is None:
        head = f"{when}: {results} became NaN or infinite"
        return (
            head,
            "the reference interpreter gets finite numbers: a difference in rounding",
            facts,
        )
    facts |= _facts(found)
    lines = [f"{when}: {_what(found)}"]
    if found.origin is not None and found.origin.span is not None:
        lines.append(excerpt(found.origin.span, _part(found.origin)))
    lines += [f"{label:<10}{text}" for label, text in _details(call, results, found) if text]
    return "\n".join(lines), "", facts


def misplaced(
    call: Call, index: Index, array: Array, outside: NDArray[np.bool_]
) -> tuple[str, str, dict[str, object]]:
    """Message, help and facts of an index that is none of its axis; `outside` says which are."""
    when = f"step {call.counters.step}" if call.function in TRAINING else f"`{call.function}`"
    sample, *element = (int(i) for i in np.argwhere(outside)[0])
    value, last = float(array[sample, *element]), index.size - 1
    wrong = int(outside.sum())
    facts: dict[str, object] = {
        "function": call.function,
        "step": call.counters.step,
        "place": str(index.span),
        "operation": "index",
        "sample": sample,
        "element": element,
        "value": value,
        "size": index.size,
    }
    place = f"sample {sample}" + (f", element {element}" if element else "")
    lines = [
        f"{when}: the index {value:.9g} is none of 0 … {last}",
        excerpt(index.span, f"picks from {index.size}"),
        f"at        {place}, {wrong:,} of {count(outside.size, 'number')} like it",
        f"function  {call.function}",
    ]
    return "\n".join(lines), "without `debug` it picks 0; -1 says so on purpose", facts


def _part(origin: Origin) -> str:
    """What of the text an operation is a part of."""
    if not origin.name:
        return ""
    name = origin.name if " " in origin.name else f"`{origin.name}`"
    return f"derivative of {name}" if origin.derivative else f"part of {name}"


def _what(found: Blame) -> str:
    if found.given:
        return f"{found.given} holds {found.value}"
    return f"`{found.operation}` made {found.value} of finite numbers"


def _details(call: Call, results: str, found: Blame) -> list[tuple[str, str]]:
    place = [] if found.sample is None else [f"sample {found.sample}"]
    if found.element:
        place.append(f"element [{', '.join(map(str, found.element))}]")
    share = f"{found.count:,} of {count(found.size, 'number')} like it"
    kernel = f", kernel {found.kernel}" if found.kernel else ""
    return [
        ("at", ", ".join([*place, share])),
        ("operands", "; ".join(map(_operand, found.operands))),
        ("operation", found.line),
        ("function", f"{call.function}{kernel}"),
        ("reached", results),
    ]


def _operand(one: Operand) -> str:
    if one.count == 1:
        return f"{one.name} = {one.least:.9g}"
    return f"{one.name}: {one.count:,} numbers from {one.least:.6g} to {one.most:.6g}"


def _facts(found: Blame) -> dict[str, object]:
    origin = found.origin
    return {
        "place": str(origin.span) if origin and origin.span else None,
        "name": origin.name if origin else "",
        "derivative": bool(origin and origin.derivative),
        "kernel": found.kernel,
        "operation": found.operation,
        "node": found.line,
        "sample": found.sample,
        "element": list(found.element),
        "value": found.value,
        "operands": {one.name: [one.least, one.most] for one in found.operands},
    }


def _listed(bad: Sequence[tuple[str, str]]) -> str:
    """Results by space and name, those of the first space."""
    space = bad[0][0]
    names = [name for other, name in bad if other == space]
    return f"{space} {listing(names)}"

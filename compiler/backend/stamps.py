"""The cycle counter read around calls, in the text of a module: what each call costs.

Invariant: nothing else of the text changes. Every place that calls one of the named functions has
two counters of 64 bits in `netc_counters`, in the order of the text: cycles, and calls. Threads add
to them together.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

COUNTERS: Final = "netc_counters"
CYCLES: Final = "netc_cycles"

_CALL: Final = re.compile(r"^  (?:tail )?call void @([\w.]+)\(.*\)$", re.MULTILINE)
_CLOCK: Final = "declare i64 @llvm.readcyclecounter()\n"

STAMPS: Final = "netc_stamps"
STAMPED_CALLS: Final = 64

CLOCK_MODULE: Final = f"""\
define i64 @{CYCLES}() {{
  %now = call i64 @llvm.readcyclecounter()
  ret i64 %now
}}
{_CLOCK}"""
"""A module of one function: the cycle counter now."""

_NOTHING: Final = "define internal void @nothing() noinline {\n  ret void\n}\n"


def stamped(text: str, names: Collection[str]) -> tuple[str, list[str]]:
    """The text with counters, and which of `names` each place calls."""
    places: list[str] = []

    def around(found: re.Match[str]) -> str:
        if found[1] not in names:
            return found[0]
        places.append(found[1])
        return _around(found[0], len(places) - 1)

    changed = _CALL.sub(around, text)
    counters = f"@{COUNTERS} = global [{2 * len(places)} x i64] zeroinitializer, align 64\n"
    return f"{changed}\n{counters}{_CLOCK}", places


def stamps_module() -> str:
    """A module that does nothing but stamp: what a stamp costs by itself."""
    calls = "  call void @nothing()\n" * STAMPED_CALLS
    text = f"{_NOTHING}define void @{STAMPS}() {{\n{calls}  ret void\n}}\n"
    return stamped(text, {"nothing"})[0]


def _around(call: str, number: int) -> str:
    start, end, cycles = (f"%stamp.{number}.{what}" for what in ("start", "end", "cycles"))
    return f"""\
  {start} = call i64 @llvm.readcyclecounter()
{call}
  {end} = call i64 @llvm.readcyclecounter()
  {cycles} = sub i64 {end}, {start}
  {_add(16 * number, cycles)}
  {_add(16 * number + 8, "1")}"""


def _add(offset: int, value: str) -> str:
    place = f"getelementptr (i8, ptr @{COUNTERS}, i64 {offset})"
    return f"%stamp.at.{offset} = atomicrmw add ptr {place}, i64 {value} monotonic"

"""The names of loaded functions in the file that perf reads: `/tmp/perf-PID.map`.

Invariant: written only where the environment says `NETC_PERF=map`. Objects are ELF with 64 bits;
of others nothing is written.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Final

from llvmlite import binding as llvm

from netc.records import record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SYMBOL: Final = struct.Struct("<IBBHQQ")
"""An entry of a symbol table: name, type and binding, visibility, section, value, size."""
_FUNCTION: Final = 2
_GLOBAL: Final = 1


@record
class Symbol:
    """A function of an object file, and its size in bytes."""

    name: str
    size: int
    public: bool


def wanted() -> bool:
    """Whether the environment asks for the file."""
    return os.environ.get("NETC_PERF") == "map"


def note(object_file: bytes, address: Callable[[str], int]) -> None:
    """Adds the functions of an object to the file; kernels under the name of their function too."""
    found = list(symbols(object_file))
    whole = next((s.name for s in found if s.public), "")
    how = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW  # anyone may write in /tmp
    place = os.open(f"/tmp/perf-{os.getpid()}.map", how, 0o600)
    with os.fdopen(place, "a", encoding="ascii") as file:
        for symbol in found:
            name = symbol.name if symbol.public else f"{whole}:{symbol.name}"
            file.write(f"{address(symbol.name):x} {symbol.size:x} {name}\n")


def symbols(object_file: bytes) -> Iterator[Symbol]:
    """The functions of an ELF object."""
    sections = llvm.ObjectFileRef.from_data(object_file).sections()
    data = {s.name(): s.data() for s in sections if s.name() in (b".symtab", b".strtab")}
    if not object_file.startswith(b"\x7fELF\x02\x01") or len(data) < 2:
        return
    for start, kind, _, _, _, size in _SYMBOL.iter_unpack(data[b".symtab"]):
        if kind & 15 == _FUNCTION:
            name = data[b".strtab"][start:].partition(b"\0")[0].decode()
            yield Symbol(name, size, kind >> 4 == _GLOBAL)
